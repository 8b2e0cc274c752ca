#include "network/doctor.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

namespace estiba::network {
namespace {

using Grade = Finding::Grade;

DoctorOptions options() { return {.pod_cidrs = {*Prefix::parse("10.42.0.0/16")}, .service_cidrs = {*Prefix::parse("10.43.0.0/16")}}; }

TEST(Doctor, networks_of_others_that_clash) {
  const std::vector<os::rtnl::Link> links = {{.index = 1, .name = "eth0"}, {.index = 2, .name = "estiba0"}, {.index = 3, .name = "tun0"}};
  auto raw = [](std::initializer_list<int> bytes) {
    std::string out;
    for (int byte : bytes) out += char(byte);
    return out;
  };
  const auto found = find_clashes({{.destination = "", .prefix_length = 0, .index = 1},
                                   {.destination = raw({192, 168, 1, 0}), .prefix_length = 24, .index = 1},
                                   {.destination = raw({10, 42, 0, 0}), .prefix_length = 24, .index = 2},
                                   {.destination = raw({10, 42, 3, 0}), .prefix_length = 24, .index = 1, .protocol = 207},
                                   {.destination = raw({10, 43, 7, 0}), .prefix_length = 24, .index = 3},
                                   {.destination = raw({10, 0, 0, 0}), .prefix_length = 8, .index = 1}},
                                  links, options());
  std::string all;
  for (const Finding& one : found) all += one.message + "\n";
  EXPECT_EQ(all,
            "the network 10.43.7.0/24 at tun0 has addresses of --service-cidr 10.43.0.0/16\n"
            "the network 10.0.0.0/8 at eth0 has addresses of --pod-cidr 10.42.0.0/16\n"
            "the network 10.0.0.0/8 at eth0 has addresses of --service-cidr 10.43.0.0/16\n");
}

TEST(Doctor, chains_of_others_that_drop) {
  const auto found = find_barriers({{.family = 2, .table = "filter", .name = "FORWARD", .hook = 2, .drops = true},
                                    {.family = 1, .table = "firewalld", .name = "filter_INPUT", .hook = 1, .drops = false},
                                    {.family = 2, .table = "estiba_policy", .name = "forward", .hook = 2, .drops = true},
                                    {.family = 10, .table = "filter", .name = "FORWARD", .hook = 2, .drops = true}},
                                   "estiba0");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].remedy,
            "nft insert rule ip filter FORWARD iifname estiba0 accept; nft insert rule ip filter FORWARD oifname estiba0 accept");
  const std::vector<os::nft::BaseChain> six{{.family = 10, .table = "filter", .name = "INPUT", .hook = 1, .drops = true}};
  EXPECT_TRUE(find_barriers(six, "estiba0").empty());
  ASSERT_EQ(find_barriers(six, "estiba0", true).size(), 1u);
  EXPECT_EQ(find_barriers(six, "estiba0", true)[0].remedy, "nft insert rule ip6 filter INPUT iifname estiba0 accept");
}

TEST(Doctor, networks_of_ipv6_that_clash) {
  const std::vector<os::rtnl::Link> links = {{.index = 1, .name = "eth0"}};
  DoctorOptions both = options();
  both.pod_cidrs.push_back(*Prefix::parse("fd00:42::/56"));
  const auto found =
      find_clashes({{.destination = std::string(Address::parse("fd00:42::")->raw()), .prefix_length = 48, .index = 1, .family = AF_INET6},
                    {.destination = std::string(Address::parse("fd00:43::")->raw()), .prefix_length = 64, .index = 1, .family = AF_INET6}},
                   links, both);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].message, "the network fd00:42::/48 at eth0 has addresses of --pod-cidr fd00:42::/56");
}

// In the test's own network namespace, with the real kernel.
TEST(Doctor, sees_the_kernel) {
  ASSERT_EQ(system("nft 'add table inet other; add chain inet other f { type filter hook forward priority 0; policy drop; }'"), 0);
  const auto found = examine_network(options());
  ASSERT_EQ(system("nft delete table inet other"), 0);
  auto of = [&](std::string_view subject) {
    const auto one = std::ranges::find(found, subject, &Finding::subject);
    return one == found.end() ? Finding{.message = "none"} : *one;
  };
  EXPECT_EQ(of("firewall").grade, Grade::warning);
  EXPECT_NE(of("firewall").message.find("inet other f drops packets between pods"), std::string::npos) << of("firewall").message;
  EXPECT_EQ(of("subnets").grade, Grade::good) << of("subnets").message;
  EXPECT_NE(of("forwarding").message, "none");
  EXPECT_NE(of("connections").message, "none");
}

}  // namespace
}  // namespace estiba::network
