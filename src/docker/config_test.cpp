#include "docker/config.h"

#include <gtest/gtest.h>

#include "docker/containers.h"
#include "docker/engine_specs.h"
#include "docker/inspect.h"
#include "docker/mount_spec.h"
#include "docker/network_spec.h"
#include "docker/signals.h"
#include "docker/start_errors.h"
#include "docker/times.h"

namespace estiba::docker {
namespace {

using json::Document;

Document parsed(std::string_view text) {
  auto out = Document::parse(text);
  EXPECT_TRUE(out) << out.error().message;
  return out ? std::move(*out) : Document();
}

std::string config_of(std::string_view given, std::string_view image) {
  Document image_config = parsed(image);
  auto out = whole_config(parsed(given).root(), &image_config.root(), "box:1", "0123456789abcdef");
  return out ? json::print(out->root()) : out.error().message;
}

TEST(Config, HasEveryFieldThatDockerPrints) {
  EXPECT_EQ(
      config_of(R"({"Image":"box:1","Cmd":["true"]})", "{}"),
      R"({"Hostname":"0123456789ab","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,)"
      R"("StdinOnce":false,"Env":[],"Cmd":["true"],"Image":"box:1","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":{}})");
}

TEST(Config, TakesFromTheImageWhatIsNotGiven) {
  Document out = parsed(config_of(
      R"({"Env":["A=mine","C"],"Labels":{"x":"1"},"ExposedPorts":{"80/tcp":{}}})",
      R"({"Env":["A=theirs","B=theirs"],"Labels":{"x":"2","y":"3"},"ExposedPorts":{"90/udp":{}},"Cmd":["sh"],"Entrypoint":["/init"],"User":"app","WorkingDir":"/srv",
                                      "StopSignal":"SIGQUIT","Volumes":{"/data":{}},"Healthcheck":{"Test":["CMD","true"],"Interval":5000000000}})"));
  const json::Node& root = out.root();
  EXPECT_EQ(json::print(*root.find("Env")), R"(["A=mine","C","B=theirs"])");
  EXPECT_EQ(json::print(*root.find("Labels")), R"({"x":"1","y":"3"})");
  EXPECT_EQ(json::print(*root.find("ExposedPorts")), R"({"80/tcp":{},"90/udp":{}})");
  EXPECT_EQ(json::print(*root.find("Cmd")), R"(["sh"])");
  EXPECT_EQ(json::print(*root.find("Entrypoint")), R"(["/init"])");
  EXPECT_EQ(root.string_at("User"), "app");
  EXPECT_EQ(root.string_at("WorkingDir"), "/srv");
  EXPECT_EQ(root.string_at("StopSignal"), "SIGQUIT");
  EXPECT_TRUE(root.at("Volumes", "/data"));
  EXPECT_EQ(int_at(*root.find("Healthcheck"), "Interval"), 5'000'000'000);
}

TEST(Config, CommandsFollowDockersRules) {
  const std::string image = R"({"Cmd":["sh"],"Entrypoint":["/init"]})";
  auto command = [&](std::string_view given) {
    Document out = parsed(config_of(given, image));
    return json::print(*out.root().find("Entrypoint")) + json::print(*out.root().find("Cmd"));
  };
  EXPECT_EQ(command(R"({})"), R"(["/init"]["sh"])");
  EXPECT_EQ(command(R"({"Cmd":["x"]})"), R"(["/init"]["x"])");
  EXPECT_EQ(command(R"({"Cmd":"x"})"), R"(["/init"]["x"])");
  EXPECT_EQ(command(R"({"Entrypoint":["e"]})"), R"(["e"]null)");
  EXPECT_EQ(command(R"({"Entrypoint":[""],"Cmd":["x"]})"), R"(null["x"])");
  EXPECT_EQ(config_of(R"({"Entrypoint":[""]})", image), "no command specified");
}

TEST(Config, BadInputNamesTheField) {
  EXPECT_EQ(config_of(R"({"Env":"A"})", "{}"), R"(Config.Env: an array is expected, not "A")");
  EXPECT_EQ(config_of(R"({"Env":["=x"],"Cmd":["a"]})", "{}"), "invalid environment variable: =x");
  EXPECT_EQ(config_of(R"({"Cmd":["a"],"WorkingDir":"x"})", "{}"), "the working directory 'x' is invalid, it needs to be an absolute path");
  EXPECT_EQ(config_of(R"({"Cmd":["a"],"Healthcheck":{"Test":["X"]}})", "{}"),
            "Unknown healthcheck type 'X' (expected 'CMD') in container's Healthcheck.Test");
}

std::string host_error(std::string_view given) {
  Document doc = parsed(given);
  auto out = whole_host_config(&doc.root());
  return out ? "" : out.error().message;
}

TEST(HostConfig, DefaultsAndLimits) {
  auto out = whole_host_config(nullptr);
  ASSERT_TRUE(out);
  EXPECT_EQ(out->root().string_at("NetworkMode"), "bridge");
  EXPECT_EQ(out->root().string_at("RestartPolicy", "Name"), "no");
  EXPECT_EQ(int_at(out->root(), "ShmSize"), 64 << 20);
  EXPECT_TRUE(out->root().find("Binds")->is_null());
  EXPECT_EQ(host_error(R"({"Memory":1000})"), "Minimum memory limit allowed is 6MB");
  EXPECT_EQ(host_error(R"({"Memory":10000000,"MemorySwap":9000000})"),
            "Minimum memoryswap limit should be larger than memory limit, see usage");
  EXPECT_EQ(host_error(R"({"MemorySwap":9000000})"), "You should always set the Memory limit when using Memoryswap limit, see usage");
  EXPECT_EQ(host_error(R"({"NanoCpus":1000000000000000})").substr(0, 30), "range of CPUs is from 0.01 to ");
  EXPECT_EQ(host_error(R"({"CpuPeriod":1})"), "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
  EXPECT_EQ(host_error(R"({"BlkioWeight":5})"), "range of blkio weight is from 10 to 1000");
  EXPECT_EQ(host_error(R"({"OomScoreAdj":2000})"), "Invalid value 2000, range for oom score adj is [-1000, 1000]");
  EXPECT_EQ(host_error(R"({"Runtime":"kata"})"), "unknown or invalid runtime name: kata");
  EXPECT_EQ(host_error(R"({"LogConfig":{"Type":"syslog"}})"), "logger: no log driver named 'syslog' is registered");
  EXPECT_EQ(host_error(R"({"Memory":"a"})"), R"(HostConfig.Memory: a whole number is expected, not "a")");
  EXPECT_EQ(
      host_error(R"({"RestartPolicy":{"Name":"sometimes"}})"),
      "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always', 'on-failure', 'unless-stopped', or 'on-unhealthy'");
  EXPECT_EQ(host_error(R"({"RestartPolicy":{"Name":"always","MaximumRetryCount":3}})"),
            "invalid restart policy: maximum retry count can only be used with 'on-failure'");
  EXPECT_EQ(host_error(R"({"RestartPolicy":{"Name":"always"},"AutoRemove":true})"),
            "can't create 'AutoRemove' container with restart policy");
  EXPECT_EQ(host_error(R"({"RestartPolicy":{"Name":"on-unhealthy","MaximumRetryCount":3}})"), "");
}

TEST(HostConfig, BecomesEngineLimits) {
  Document doc = parsed(
      R"({"Memory":10000000,"NanoCpus":1500000000,"PidsLimit":7,"CpusetCpus":"0","MemorySwappiness":0,"DeviceCgroupRules":["c 1:3 rwm"]})");
  auto out = engine_resources(doc.root());
  ASSERT_TRUE(out);
  EXPECT_EQ(out->memory_bytes, 10000000);
  EXPECT_EQ(out->cpu_quota_us, 150000);
  EXPECT_EQ(out->cpu_period_us, 100000u);
  EXPECT_EQ(out->pids, 7);
  EXPECT_EQ(out->memory_swappiness, 0u);
  EXPECT_EQ(out->device_rules.size(), 1u);
  EXPECT_FALSE(out->cpu_shares);
}

TEST(HostConfig, LogOptions) {
  auto limits = [](std::string_view options) {
    return log_limits(parsed(R"({"LogConfig":{"Type":"json-file","Config":)" + std::string(options) + "}}").root());
  };
  EXPECT_EQ(limits("{}")->first, 10u << 20);
  EXPECT_EQ(*limits(R"({"max-size":"2k","max-file":"3"})"), (std::pair<uint64_t, uint32_t>(2048, 3)));
  EXPECT_EQ(limits(R"({"max-size":"-1"})")->first, 0u);
  EXPECT_EQ(limits(R"({"max-file":"0"})").error().message, "max-file cannot be less than 1: \"0\"");
  EXPECT_EQ(limits(R"({"max-speed":"1"})").error().message, "unknown log opt 'max-speed' for json-file log driver");
}

TEST(Bytes, AsGoUnits) {
  EXPECT_EQ(*parse_bytes("512"), 512u);
  EXPECT_EQ(*parse_bytes("1.5k"), 1536u);
  EXPECT_EQ(*parse_bytes("2 MB"), 2u << 20);
  EXPECT_EQ(*parse_bytes("1GiB"), 1u << 30);
  for (const char* bad : {"", "x", "1q", "1kk", "."}) EXPECT_FALSE(parse_bytes(bad)) << bad;
}

TEST(Mounts, Binds) {
  auto one = parse_bind("/host/../etc:/there/:ro,rslave");
  ASSERT_TRUE(one);
  EXPECT_EQ(one->type, "bind");
  EXPECT_EQ(one->source, "/etc");
  EXPECT_EQ(one->destination, "/there");
  EXPECT_FALSE(one->writable);
  EXPECT_EQ(one->propagation, "rslave");
  auto named = parse_bind("datos:/app/data");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->type, "volume");
  EXPECT_EQ(named->name, "datos");
  EXPECT_TRUE(named->copy_up);
  EXPECT_FALSE(named->anonymous);
  EXPECT_TRUE(parse_bind("/data")->anonymous);
  EXPECT_FALSE(parse_bind("datos:/x:nocopy")->copy_up);
  for (const char* bad : {"", "a:b:c:d", "datos:rel", "datos:/", "/a:/b:nonsense", "/a:/b:ro,rw", "da/tos:/x", "vol:/x:rslave"})
    EXPECT_FALSE(parse_bind(bad)) << bad;
}

TEST(Mounts, OfTheApi) {
  auto one = parse_mount(
      parsed(R"({"Type":"volume","Source":"v1","Target":"/x","ReadOnly":true,"VolumeOptions":{"NoCopy":true,"Subpath":"a"}})").root());
  ASSERT_TRUE(one);
  EXPECT_EQ(one->name, "v1");
  EXPECT_FALSE(one->copy_up);
  EXPECT_FALSE(one->writable);
  EXPECT_EQ(one->subpath, "a");
  EXPECT_EQ(parse_mount(parsed(R"({"Type":"bind","Source":"/no/such/path","Target":"/x"})").root()).error().message,
            "invalid mount config for type \"bind\": bind source path does not exist: /no/such/path");
  EXPECT_EQ(parse_mount(parsed(R"({"Type":"bind","Source":"/tmp"})").root()).error().message,
            "invalid mount config for type \"bind\": field Target must not be empty");
  EXPECT_FALSE(parse_mount(parsed(R"({"Type":"npipe","Target":"/x"})").root()));
}

TEST(Mounts, AreMergedByDestination) {
  Document config = parsed(R"({"Volumes":{"/data":{},"/cache":{}}})");
  Document host = parsed(R"({"Binds":["datos:/data"],"VolumesFrom":["other:ro"],"Tmpfs":{"/cache":""}})");
  auto other = std::make_shared<Container>();
  other->mounts.push_back({.type = "volume", .name = "theirs", .destination = "/theirs", .anonymous = true});
  auto find = [&](std::string_view) -> Result<ContainerRef> { return other; };
  auto out = mount_points(config.root(), host.root(), find);
  ASSERT_TRUE(out);
  ASSERT_EQ(out->size(), 2u);
  EXPECT_EQ((*out)[0].name, "datos");
  EXPECT_EQ((*out)[1].name, "theirs");
  EXPECT_FALSE((*out)[1].writable);
  EXPECT_FALSE((*out)[1].anonymous);
  Document twice = parsed(R"({"Binds":["a1:/x","b1:/x"]})");
  EXPECT_EQ(mount_points(parsed("{}").root(), twice.root(), find).error().message, "Duplicate mount point: /x");
}

TEST(Ports, AreRead) {
  Document config = parsed(R"({"ExposedPorts":{"80/tcp":{},"53/udp":{}}})");
  Document host = parsed(R"({"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8000-8010"}]},"PublishAllPorts":true})");
  auto out = port_bindings(config.root(), host.root());
  ASSERT_TRUE(out);
  ASSERT_EQ(out->size(), 2u);
  EXPECT_EQ((*out)[0].host_ip, "127.0.0.1");
  EXPECT_EQ((*out)[0].first_port, 8000);
  EXPECT_EQ((*out)[0].last_port, 8010);
  EXPECT_EQ((*out)[1].container_port, 53);
  EXPECT_FALSE(port_bindings(parsed("{}").root(), parsed(R"({"PortBindings":{"x/tcp":[{}]}})").root()));
  EXPECT_FALSE(port_bindings(parsed("{}").root(), parsed(R"({"PortBindings":{"80/tcp":[{"HostPort":"70000"}]}})").root()));
  EXPECT_FALSE(port_bindings(parsed("{}").root(), parsed(R"({"PortBindings":{"80/tcp":[{"HostPort":"9-8"}]}})").root()));
}

TEST(Networks, EndpointsBeginWithTheMode) {
  Document networking = parsed(R"({"EndpointsConfig":{"blue":{},"red":{"Aliases":["db"]}}})");
  EXPECT_EQ(json::print(initial_endpoints(&networking.root(), "red")->root()), R"({"red":{"Aliases":["db"]},"blue":{}})");
  EXPECT_EQ(json::print(initial_endpoints(nullptr, "bridge")->root()), R"({"bridge":{}})");
  EXPECT_EQ(json::print(initial_endpoints(nullptr, "container:abc")->root()), "{}");
  EXPECT_FALSE(initial_endpoints(&networking.root(), "container:abc"));
}

TEST(Networks, HostsFile) {
  Container c;
  c.config = parsed(R"({"Hostname":"web","Domainname":"lan"})");
  c.host_config = parsed(R"({"ExtraHosts":["db:10.0.0.9","gw=host-gateway","six:[fd00::1]"]})");
  const std::string text = hosts_text(c, {"172.17.0.2"}, "172.17.0.1");
  EXPECT_NE(text.find("10.0.0.9\tdb\n172.17.0.1\tgw\nfd00::1\tsix\n172.17.0.2\tweb.lan web\n"), text.npos) << text;
}

TEST(Signals, ByNameAndNumber) {
  EXPECT_EQ(*parse_signal("SIGKILL"), 9);
  EXPECT_EQ(*parse_signal("term"), 15);
  EXPECT_EQ(*parse_signal("3"), 3);
  EXPECT_EQ(*parse_signal("RTMIN+3"), 37);
  for (const char* bad : {"", "0", "65", "SIGNONE", "RTMIN+99", "-1"}) EXPECT_FALSE(parse_signal(bad)) << bad;
}

TEST(StartErrors, ReadAsDockersClientsExpect) {
  Error error;
  error.message = "container web of pod docker/web: exec nothing: executable file not found in $PATH";
  StartError told = start_error(error);
  EXPECT_EQ(told.exit_code, 127);
  EXPECT_EQ(told.error.message,
            "failed to create task for container: failed to create shim task: OCI runtime create failed: unable to start container "
            "process: error during container init: "
            "exec: \"nothing\": executable file not found in $PATH: unknown");
  error.message = "container web of pod docker/web: exec /etc/passwd: Permission denied";
  told = start_error(error);
  EXPECT_EQ(told.exit_code, 126);
  EXPECT_NE(told.error.message.find("exec: \"/etc/passwd\": permission denied"), std::string::npos);
  error.message = "exec /no/such: No such file or directory";
  told = start_error(error);
  EXPECT_EQ(told.exit_code, 127);
  EXPECT_NE(told.error.message.find("exec: \"/no/such\": stat /no/such: no such file or directory"), std::string::npos);
  error.message = "Bind for 0.0.0.0:80 failed: port is already allocated";
  told = start_error(error);
  EXPECT_EQ(told.exit_code, 128);
  EXPECT_EQ(told.error.message, error.message);
}

TEST(Times, AreRead) {
  const WallTime now(std::chrono::seconds(1'000'000));
  EXPECT_EQ(*parse_time("900000", now), WallTime(std::chrono::seconds(900'000)));
  EXPECT_EQ(*parse_time("900000.5", now), WallTime(std::chrono::milliseconds(900'000'500)));
  EXPECT_EQ(*parse_time("10m", now), now - std::chrono::minutes(10));
  EXPECT_EQ(*parse_time("1970-01-02", now), WallTime(std::chrono::hours(24)));
  EXPECT_EQ(*parse_time("1970-01-02T00:00:01Z", now), WallTime(std::chrono::seconds(86401)));
  EXPECT_FALSE(parse_time("yesterday", now));
}

TEST(Times, AreTold) {
  using namespace std::chrono_literals;
  const std::pair<Duration, const char*> cases[] = {
      {0s, "Less than a second"}, {1s, "1 second"},         {59s, "59 seconds"},   {60s, "About a minute"},
      {5min, "5 minutes"},        {60min, "About an hour"}, {5h, "5 hours"},       {50h, "2 days"},
      {24h * 20, "2 weeks"},      {24h * 100, "3 months"},  {24h * 800, "2 years"}};
  for (const auto& [duration, text] : cases) EXPECT_EQ(human_duration(duration), text);
}

TEST(Records, ComeBackAsTheyWere) {
  Container c;
  c.id = std::string(64, 'a');
  c.name = "web";
  c.image = "box:1";
  c.image_id = "sha256:1";
  c.created = WallTime(std::chrono::seconds(5));
  c.config = parsed(R"({"Cmd":["sleep","1"],"Labels":{"a":"b"},"Tty":true,"StopTimeout":3})");
  c.host_config = parsed(
      R"({"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":4},"AutoRemove":false,"NetworkMode":"red","LogConfig":{"Type":"none"}})");
  c.endpoints = parsed(R"({"red":{}})");
  c.mounts.push_back({.type = "bind", .source = "/a", .destination = "/b", .writable = false, .make_source = true});
  c.status = Status::exited;
  c.exit_code = 3;
  c.restart_count = 2;
  c.manually_stopped = true;
  auto back = parse_record(print_record(c));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(print_record(**back), print_record(c));
  EXPECT_EQ((*back)->facts.restart_policy, "on-failure");
  EXPECT_EQ((*back)->facts.max_retries, 4);
  EXPECT_EQ((*back)->facts.stop_timeout, 3);
  EXPECT_EQ((*back)->facts.command, (std::vector<std::string>{"sleep", "1"}));
  EXPECT_TRUE((*back)->facts.tty);
  EXPECT_FALSE(parse_record("{}"));
  EXPECT_FALSE(parse_record("{"));
}

TEST(Status, AsDockerPsSaysIt) {
  using namespace std::chrono_literals;
  Container c;
  const WallTime now(1000s);
  EXPECT_EQ(status_text(c, now), "Created");
  c.status = Status::running;
  c.started = now - 5min;
  EXPECT_EQ(status_text(c, now), "Up 5 minutes");
  c.health.emplace();
  EXPECT_EQ(status_text(c, now), "Up 5 minutes (health: starting)");
  c.health->status = "unhealthy";
  EXPECT_EQ(status_text(c, now), "Up 5 minutes (unhealthy)");
  c.status = Status::paused;
  EXPECT_EQ(status_text(c, now), "Up 5 minutes (Paused)");
  c.status = Status::exited;
  c.exit_code = 137;
  c.finished = now - 2s;
  EXPECT_EQ(status_text(c, now), "Exited (137) 2 seconds ago");
}

}  // namespace
}  // namespace estiba::docker
