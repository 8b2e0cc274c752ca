#include "server/node_flags.h"

#include <gtest/gtest.h>

#include "os/cgroup.h"
#include "server/node_runner.h"

namespace estiba::server {
namespace {

std::string refusal(const cli::Arguments& arguments) {
  NodeFlags flags;
  cli::Flags declared("estiba x");
  flags.declare(declared);
  auto parsed = declared.parse(arguments);
  if (!parsed) return parsed.error().message;
  auto read = flags.read();
  return read ? "" : read.error().message;
}

TEST(NodeFlags, DefaultsAreKubernetes) {
  auto read = NodeFlags{}.read();
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->image_high_percent, 85);
  EXPECT_EQ(read->image_low_percent, 80);
  EXPECT_EQ(read->image_least_age, std::chrono::minutes(2));
  EXPECT_EQ(read->thresholds.size(), 5u);
  EXPECT_EQ(read->pressure_transition, std::chrono::minutes(5));
}

TEST(NodeFlags, WhatIsWrongIsNamed) {
  EXPECT_EQ(refusal({"--image-gc-high-threshold=101"}), "--image-gc-high-threshold must be a percentage from 0 to 100, not 101");
  EXPECT_EQ(refusal({"--image-gc-low-threshold=85"}), "--image-gc-low-threshold (85) must be below --image-gc-high-threshold (85)");
  EXPECT_EQ(refusal({"--minimum-image-ttl-duration=soon"}), "--minimum-image-ttl-duration must be a duration like 1m0s, not \"soon\"");
  EXPECT_EQ(refusal({"--image-maximum-gc-age=1m"}), "--image-maximum-gc-age must be longer than --minimum-image-ttl-duration");
  EXPECT_EQ(refusal({"--eviction-max-pod-grace-period=-1"}), "--eviction-max-pod-grace-period must be 0 or more, not -1");
  EXPECT_EQ(refusal({"--pod-manifest-path=x"}), "--pod-manifest-path must be an absolute path, not \"x\"");
  EXPECT_EQ(refusal({"--eviction-hard="}), "");
  EXPECT_EQ(refusal({"--node-api-port=0"}), "--node-api-port must be 1 to 65535, not 0");
  EXPECT_EQ(refusal({"--max-pods=0"}), "--max-pods must be 1 or more, not 0");
  EXPECT_EQ(refusal({"--system-reserved=cpu=1,gpu=1"}),
            "--system-reserved: \"gpu\" cannot be set apart: cpu, memory and ephemeral-storage can");
  EXPECT_EQ(refusal({"--kube-reserved=cpu"}), "--kube-reserved: \"cpu\" must be RESOURCE=QUANTITY, such as cpu=500m");
  EXPECT_EQ(refusal({"--swap-behavior=UnlimitedSwap"}), "--swap-behavior is NoSwap or LimitedSwap, not \"UnlimitedSwap\"");
  EXPECT_EQ(refusal({"--swap-behavior=LimitedSwap"}),
            (*os::cgroup_host())->mode == os::CgroupMode::v2
                ? ""
                : "--swap-behavior=LimitedSwap needs control groups of version 2, and this machine has version 1");
  EXPECT_EQ(refusal({"--cdi-spec-dirs=/etc/cdi,cdi"}), "--cdi-spec-dirs must be absolute paths, not \"cdi\"");
  EXPECT_EQ(refusal({"--ingress-http-port=65536"}), "--ingress-http-port and --ingress-https-port must be from 0 to 65535, not 65536");
  EXPECT_EQ(refusal({"--ingress-http-port=443"}), "--ingress-http-port and --ingress-https-port must differ");
  EXPECT_EQ(refusal({"--ingress-http-port=0", "--ingress-https-port=0"}), "");
  EXPECT_TRUE(refusal({"--ingress-proxy-protocol-from=192.0.2.1"})
                  .starts_with("--ingress-proxy-protocol-from must be prefixes such as 192.0.2.0/24: "));
  EXPECT_EQ(refusal({"--ingress-proxy-protocol-from=192.0.2.0/24,fd00::/8"}), "");
}

TEST(NodeFlags, OfPlacementAreKubelets) {
  EXPECT_EQ(refusal({"--cpu-manager-policy=dynamic"}), "--cpu-manager-policy is none or static, not \"dynamic\"");
  EXPECT_EQ(refusal({"--cpu-manager-policy-options=full-pcpus-only=true"}),
            "--cpu-manager-policy-options are of --cpu-manager-policy=static");
  EXPECT_EQ(refusal({"--reserved-cpus=1-"}), "--reserved-cpus: \"1-\" is no list of numbers such as 0-3,8");
  EXPECT_TRUE(refusal({"--topology-manager-policy=best"}).starts_with("--topology-manager-policy is none, best-effort, restricted or"));
  EXPECT_EQ(refusal({"--topology-manager-scope=node"}), "--topology-manager-scope is container or pod, not \"node\"");
  EXPECT_TRUE(refusal({"--topology-manager-policy-options=max-allowable-numa-nodes=99"}).contains("with 1 to 16"));
  NodeFlags flags;
  flags.placement = {
      .cpu_policy = "static", .cpu_options = "full-pcpus-only=true", .topology_policy = "restricted", .topology_scope = "pod"};
  flags.system_reserved = "cpu=700m";
  flags.kube_reserved = "cpu=400m";
  NodeSettings settings;
  flags.fill(settings);
  EXPECT_TRUE(settings.placement.cpus.exclusive && settings.placement.cpus.whole_cores && settings.placement.by_pod);
  EXPECT_EQ(settings.placement.cpus.reserved_count, 2u);
  EXPECT_EQ(settings.placement.topology, node::TopologyPolicy::restricted);
}

TEST(NodeFlags, SayWhatANodeIs) {
  NodeFlags flags;
  flags.max_pods = 30;
  flags.swap_behavior = "LimitedSwap";
  flags.system_reserved = "cpu=1,memory=1Gi";
  flags.cdi_spec_dirs = "/a,/b";
  NodeSettings settings;
  flags.fill(settings);
  EXPECT_EQ(settings.max_pods, 30);
  EXPECT_TRUE(settings.limited_swap);
  EXPECT_EQ(model::print_resources(settings.system_reserved), "cpu=1,memory=1Gi");
  EXPECT_EQ(settings.cdi_spec_dirs, (std::vector<std::string>{"/a", "/b"}));
}

TEST(NodeFlags, IngressesAreServedUnlessTheyAreNot) {
  NodeFlags flags;
  EXPECT_EQ(flags.ingress_options()->https_port, 443);
  flags.ingress = false;
  EXPECT_FALSE(flags.ingress_options());
}

}  // namespace
}  // namespace estiba::server
