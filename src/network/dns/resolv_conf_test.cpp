#include "network/dns/resolv_conf.h"

#include <gtest/gtest.h>

namespace estiba::network {

static const ClusterDns kCluster{.address = "10.43.0.10"};
static const ResolvConf kHost = ResolvConf::parse("# made by somebody\nnameserver 192.0.2.53\nnameserver 192.0.2.54 ; second\ndomain a\nsearch corp.example  example\noptions timeout:1 rotate\n");

TEST(ResolvConf, ClusterFirstAsksTheClusterAndKeepsTheHostsSearches) {
  EXPECT_EQ(pod_resolv_conf({.ns = "shop"}, kCluster, kHost),
            "search shop.svc.cluster.local svc.cluster.local cluster.local corp.example example\nnameserver 10.43.0.10\noptions ndots:5\n");
}

TEST(ResolvConf, TheHostsNetworkMeansTheHostsServers) {
  std::string host = "search corp.example example\nnameserver 192.0.2.53\nnameserver 192.0.2.54\noptions timeout:1 rotate\n";
  EXPECT_EQ(pod_resolv_conf({.host_network = true, .ns = "shop"}, kCluster, kHost), host);
  EXPECT_EQ(pod_resolv_conf({.policy = "Default", .ns = "shop"}, kCluster, kHost), host);
  EXPECT_EQ(pod_resolv_conf({.ns = "shop"}, {}, kHost), host) << "without a cluster DNS";
  EXPECT_TRUE(pod_resolv_conf({.policy = "ClusterFirstWithHostNet", .host_network = true, .ns = "shop"}, kCluster, kHost).contains("nameserver 10.43.0.10"));
}

TEST(ResolvConf, ThePodsOwnWishesAreMergedIn) {
  ResolvConf config{.nameservers = {"1.1.1.1", "10.43.0.10"}, .searches = {"svc.cluster.local", "mine"}, .options = {{"ndots", "2"}, {"edns0", std::nullopt}}};
  EXPECT_EQ(pod_resolv_conf({.ns = "shop", .config = config}, kCluster, {}),
            "search shop.svc.cluster.local svc.cluster.local cluster.local mine\nnameserver 10.43.0.10\nnameserver 1.1.1.1\noptions ndots:2 edns0\n");
  EXPECT_EQ(pod_resolv_conf({.policy = "None", .ns = "shop", .config = config}, kCluster, kHost),
            "search svc.cluster.local mine\nnameserver 1.1.1.1\nnameserver 10.43.0.10\noptions ndots:2 edns0\n");
}

}  // namespace estiba::network
