#include "docker/stats.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "docker/event_filter.h"
#include "docker/execs.h"
#include "model/json.h"

namespace estiba::docker {
namespace {

using namespace std::chrono_literals;

TEST(Stats, ReadsTheHost) {
  const HostUsage usage = parse_proc_stat("cpu  10 20 30 40 50 60 70 80 90 100\ncpu0 1 2 3\ncpu1 1 2 3\nintr 5\n");
  EXPECT_EQ(usage.cpus, 2u);
  EXPECT_EQ(usage.cpu_ns, 280ull * 1'000'000'000 / uint64_t(::sysconf(_SC_CLK_TCK)));
  const auto counters = engine::parse_net_dev(
      "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls "
      "carrier "
      "compressed\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0:  100 2 3 4 0 0 0 0 500 6 7 8 0 0 0 0\n");
  ASSERT_EQ(counters.size(), 1u);
  const NetworkCounters& eth0 = counters.at("eth0");
  EXPECT_EQ(eth0.rx_bytes, 100u);
  EXPECT_EQ(eth0.rx_dropped, 4u);
  EXPECT_EQ(eth0.tx_bytes, 500u);
  EXPECT_EQ(eth0.tx_errors, 7u);
  auto host = host_usage();
  ASSERT_TRUE(host);
  EXPECT_GE(host->cpus, 1u);
  EXPECT_GT(host->memory_bytes, 0u);
}

TEST(Stats, PrintsWhatClientsComputeWith) {
  Sample before, now;
  before.at = WallTime(1s);
  before.container.cpu_ns = 5;
  now.at = WallTime(2s);
  now.container.cpu_ns = 10;
  now.container.cpu_each_ns = {4, 6};
  now.container.memory_bytes = 100;
  now.container.memory_limit_bytes = 1000;
  now.container.memory_stat = {{"cache", 7}};
  now.container.pids = 3;
  now.container.io = {{8, 0, "read", 4096, 1}};
  now.host = {1000, 2, 1 << 30};
  now.networks["eth0"].tx_bytes = 9;
  auto json = json::Document::parse(print_stats("id", "web", now, before));
  ASSERT_TRUE(json);
  const json::Node& root = json->root();
  EXPECT_EQ(root.string_at("name"), "/web");
  EXPECT_EQ(root.at("cpu_stats", "cpu_usage", "total_usage")->as_int(), 10);
  EXPECT_EQ(root.at("precpu_stats", "cpu_usage", "total_usage")->as_int(), 5);
  EXPECT_EQ(root.at("cpu_stats", "online_cpus")->as_int(), 2);
  EXPECT_EQ(root.at("memory_stats", "limit")->as_int(), 1000);
  EXPECT_EQ(root.at("memory_stats", "stats", "cache")->as_int(), 7);
  EXPECT_EQ(root.at("networks", "eth0", "tx_bytes")->as_int(), 9);
  EXPECT_EQ((*root.at("blkio_stats", "io_service_bytes_recursive"))[0].at("value")->as_int(), 4096);
  auto nothing = json::Document::parse(print_stats("id", "web", {}, {}));
  ASSERT_TRUE(nothing);
  EXPECT_EQ(nothing->root().string_at("read"), "0001-01-01T00:00:00Z");
  EXPECT_EQ(nothing->root().at("memory_stats")->size(), 0u);
}

TEST(EventFilter, Matches) {
  EventMessage die;
  die.type = "container";
  die.action = "die";
  die.id = "abcdef";
  die.attributes = {{"image", "box:1"}, {"name", "web"}, {"app", "shop"}};
  auto matches = [&](std::string_view filters) {
    auto parsed = Filters::parse(filters, {"container", "event", "image", "label", "network", "type", "volume", "scope"});
    EXPECT_TRUE(parsed);
    return event_matches(die, *parsed);
  };
  EXPECT_TRUE(matches(""));
  EXPECT_TRUE(matches(R"({"container":["web"]})"));
  EXPECT_TRUE(matches(R"({"container":["abc"]})"));
  EXPECT_FALSE(matches(R"({"container":["db"]})"));
  EXPECT_TRUE(matches(R"({"image":["box"],"event":["die"],"type":["container"]})"));
  EXPECT_FALSE(matches(R"({"event":["start"]})"));
  EXPECT_TRUE(matches(R"({"label":["app=shop"]})"));
  EXPECT_FALSE(matches(R"({"label":["app=bank"]})"));
  EXPECT_FALSE(matches(R"({"network":["bridge"]})"));
  die.action = "health_status: healthy";
  EXPECT_TRUE(matches(R"({"event":["health_status"]})"));
}

TEST(ExecConfig, IsRead) {
  auto parse = [](std::string_view text) {
    auto body = json::Document::parse(text);
    return body ? parse_exec_config(body->root()) : std::unexpected(body.error());
  };
  auto config =
      parse(R"({"Cmd":["sh","-c","x"],"Env":["A=1"],"Tty":true,"AttachStdin":true,"User":"7","WorkingDir":"/w","ConsoleSize":[24,80]})");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->command.size(), 3u);
  EXPECT_EQ(config->rows, 24);
  EXPECT_EQ(config->columns, 80);
  EXPECT_TRUE(config->tty && config->attach_in && !config->attach_out);
  EXPECT_EQ(parse(R"({"Cmd":"ls"})")->command, std::vector<std::string>{"ls"});
  EXPECT_EQ(parse("{}").error().message, "No exec command specified");
  EXPECT_FALSE(parse(R"({"Cmd":[1]})"));
  EXPECT_FALSE(parse(R"({"Cmd":["a"],"DetachKeys":"ctrl-!"})"));
  EXPECT_FALSE(parse(R"({"Cmd":["a"],"WorkingDir":"relative"})"));
  EXPECT_FALSE(parse("[]"));
}

}  // namespace
}  // namespace estiba::docker
