#include "server/options.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "os/file.h"

namespace estiba::server {
namespace {

struct ServerOptions : testing::Test {
  std::string file = "/tmp/estiba-config-" + std::to_string(getpid()) + ".yaml";
  std::string flag = "--config=" + file;
  void TearDown() override { unlink(file.c_str()); }
  Result<Options> read(const std::string& text, cli::Arguments more = {}) {
    EXPECT_TRUE(os::write_file_atomic(file, text, 0600, false));
    more.push_back(flag);
    return read_options(more);
  }
};

TEST_F(ServerOptions, FlagsWinOverTheFile) {
  auto options = read("node-name: from-file\npod-cidr: 10.1.0.0/16\nnode: false\ntls-san: [a, b]\n", {"--node-name=from-flag"});
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->node_name, "from-flag");
  EXPECT_EQ(options->pod_cidr, "10.1.0.0/16");
  EXPECT_FALSE(options->node);
  EXPECT_EQ(options->tls_sans, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(options->listen_port, 6443);
}

TEST_F(ServerOptions, RangesOfBothFamilies) {
  auto options = read("", {"--pod-cidr=10.42.0.0/16,fd00:42::/56", "--service-cidr=fd00:43::/112,10.43.0.0/16"});
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->node_cidr_mask_v6, 64);
  EXPECT_EQ(read("", {"--service-cidr=fd00:43::/112"}).error().message,
            "--service-cidr fd00:43::/112 has an IPv6 range, but --pod-cidr 10.42.0.0/16 has none: name one of each family");
  EXPECT_EQ(read("", {"--pod-cidr=fd00:42::/56,10.43.0.0/24"}).error().message,
            "--pod-cidr 10.43.0.0/24 and --service-cidr 10.43.0.0/16 overlap");
  EXPECT_EQ(read("", {"--pod-cidr=fd00::/56", "--service-cidr=fd00:43::/112", "--advertise-address=10.0.0.1"}).error().message,
            "--advertise-address 10.0.0.1 must be an IPv6 address as the first of --service-cidr fd00:43::/112 is");
  EXPECT_FALSE(read("", {"--pod-cidr=10.1.0.0/16,10.2.0.0/16"}));
}

TEST_F(ServerOptions, LoadBalancersPoolIsNobodyElses) {
  auto options = read("load-balancer-pool: [192.0.2.240-192.0.2.250, 192.0.2.64/28]\n", {});
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->load_balancer_pool.text(), "192.0.2.240-192.0.2.250,192.0.2.64/28");
  EXPECT_EQ(read("", {"--load-balancer-pool=192.0.2.1", "--load-balancer-pool=10.42.3.0-10.42.3.9"}).error().message,
            "--load-balancer-pool 10.42.3.0-10.42.3.9 and --pod-cidr 10.42.0.0/16 overlap");
  EXPECT_EQ(read("", {"--load-balancer-pool=10.43.255.0/24"}).error().message,
            "--load-balancer-pool 10.43.255.0/24 and --service-cidr 10.43.0.0/16 overlap");
  EXPECT_TRUE(
      read("", {"--load-balancer-pool=192.0.2.300"}).error().message.starts_with("--load-balancer-pool: \"192.0.2.300\" is no address"));
}

TEST_F(ServerOptions, BadFilesNameFileLineAndKey) {
  EXPECT_EQ(read("node-name: x\npod-cdir: y\n").error().message,
            file + ":2: pod-cdir: unknown flag --pod-cdir; did you mean --pod-cidr? (--help lists them)");
  EXPECT_EQ(read("\nnode: perhaps\n").error().message, file + ":2: node: --node is true or false, not \"perhaps\"");
  EXPECT_TRUE(read("a: [\n").error().message.starts_with(file));
  EXPECT_EQ(read("- a\n").error().message, file + ": it must be a mapping of flag names to values");
  EXPECT_FALSE(read_options({"--config=/nonexistent/estiba.yaml"}));
}

TEST_F(ServerOptions, BadFlagsSayWhatIsAllowed) {
  EXPECT_EQ(read("", {"--listen=6443"}).error().message, "--listen must be ADDRESS:PORT, not \"6443\"");
  EXPECT_EQ(read("", {"--log-format=xml"}).error().message, "--log-format is text or json, not \"xml\"");
  EXPECT_EQ(read("", {"--request-timeout=60"}).error().message, "--request-timeout must be a duration above zero like 1m0s, not \"60\"");
  EXPECT_EQ(read("", {"--request-timeout=1m30s"})->request_limit, std::chrono::seconds(90));
  EXPECT_FALSE(read("", {"extra"}));
}

}  // namespace
}  // namespace estiba::server
