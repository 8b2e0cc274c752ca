#include "engine/bundle.h"

#include <gtest/gtest.h>

#include "model/json.h"
#include "runtime/pod_group.h"
#include "runtime/spec.h"

namespace estiba::engine {
namespace {

class BundleTest : public testing::Test {
 protected:
  runtime::Spec make() {
    auto text = bundle_config({sandbox_, spec_, image_, identity_, "/roots/c1", "/nowhere"});
    EXPECT_TRUE(text) << text.error().message;
    auto parsed = runtime::parse_spec(text.value_or("{}"));
    EXPECT_TRUE(parsed) << parsed.error().message << "\n" << *text;
    return parsed ? std::move(*parsed) : runtime::Spec{};
  }
  std::string error() {
    auto text = bundle_config({sandbox_, spec_, image_, identity_, "/roots/c1", "/nowhere"});
    return text ? "" : std::string(text.error().details->reason) + ": " + text.error().message;
  }
  static bool has(const std::vector<std::string>& list, std::string_view item) {
    return std::find(list.begin(), list.end(), item) != list.end();
  }

  SandboxRecord sandbox_{.uid = "u1", .hostname = "web-0", .cgroup_parent = "/estiba/podu1"};
  ContainerSpec spec_{.id = "c1", .name = "web", .image = "web:1"};
  image::Config image_{.env = {"PATH=/image/bin", "A=image"}, .entrypoint = {"/entry"}, .cmd = {"default"}};
  Identity identity_{.uid = 33, .gid = 34, .groups = {44}, .home = "/var/www"};
};

TEST_F(BundleTest, CommandAndArgumentsFollowKubernetesRules) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(make().process.args, (Words{"/entry", "default"}));
  spec_.args = {"x"};
  EXPECT_EQ(make().process.args, (Words{"/entry", "x"}));
  spec_.command = {"/cmd"};
  EXPECT_EQ(make().process.args, (Words{"/cmd", "x"}));
  spec_.args.clear();
  EXPECT_EQ(make().process.args, (Words{"/cmd"}));
  spec_.command.clear();
  image_.entrypoint.clear();
  image_.cmd.clear();
  EXPECT_TRUE(error().starts_with("CreateContainerError: no command specified"));
}

TEST_F(BundleTest, EnvironmentIsLayeredAndUserIsSet) {
  spec_.env = {{"A", "spec"}, {"B", "1"}};
  auto spec = make();
  EXPECT_TRUE(has(spec.process.env, "PATH=/image/bin"));
  EXPECT_TRUE(has(spec.process.env, "A=spec"));
  EXPECT_FALSE(has(spec.process.env, "A=image"));
  EXPECT_TRUE(has(spec.process.env, "B=1"));
  EXPECT_TRUE(has(spec.process.env, "HOSTNAME=web-0"));
  EXPECT_TRUE(has(spec.process.env, "HOME=/var/www"));
  EXPECT_EQ(spec.process.user.uid, 33u);
  EXPECT_EQ(spec.process.user.gid, 34u);
  EXPECT_EQ(spec.process.user.additional_gids, std::vector<uint32_t>{44});
  EXPECT_EQ(spec.process.cwd, "/");
  image_.working_dir = "srv";
  EXPECT_EQ(make().process.cwd, "/srv");
}

TEST_F(BundleTest, CapabilitiesAreDockersUnlessChanged) {
  auto caps = make().process.capabilities->bounding;
  EXPECT_EQ(caps.size(), 14u);
  EXPECT_TRUE(has(caps, "CAP_NET_BIND_SERVICE"));
  spec_.capabilities_drop = {"ALL"};
  spec_.capabilities_add = {"net_admin", "CAP_CHOWN"};
  EXPECT_EQ(make().process.capabilities->bounding, (std::vector<std::string>{"CAP_CHOWN", "CAP_NET_ADMIN"}));
  spec_.capabilities_add = {"NET_ADMIM"};
  EXPECT_EQ(error(), "CreateContainerError: unknown capability \"NET_ADMIM\"");
  spec_.capabilities_add.clear();
  spec_.privileged = true;
  EXPECT_EQ(make().process.capabilities->bounding.size(), 41u);
}

TEST_F(BundleTest, NamespacesThatAreThePodsAreLeftOut) {
  auto spec = make();
  EXPECT_TRUE(spec.find_namespace(CLONE_NEWNS));
  EXPECT_TRUE(spec.find_namespace(CLONE_NEWPID));
  EXPECT_TRUE(spec.find_namespace(CLONE_NEWCGROUP));
  EXPECT_FALSE(spec.find_namespace(CLONE_NEWNET));
  EXPECT_FALSE(spec.find_namespace(CLONE_NEWIPC));
  EXPECT_FALSE(spec.find_namespace(CLONE_NEWUTS));
  sandbox_.share_process_namespace = true;
  EXPECT_FALSE(make().find_namespace(CLONE_NEWPID));
}

TEST_F(BundleTest, ResourcesReachTheRuntime) {
  spec_.resources = {.cpu_shares = 512, .cpu_quota_us = 50000, .memory_bytes = 64 << 20, .pids = 100, .oom_score_adj = 900};
  auto spec = make();
  ASSERT_TRUE(spec.linux_.resources);
  EXPECT_EQ(spec.linux_.resources->cpu_shares, 512u);
  EXPECT_EQ(spec.linux_.resources->cpu_quota_us, 50000);
  EXPECT_EQ(spec.linux_.resources->cpu_period_us, 100000u);
  EXPECT_EQ(spec.linux_.resources->memory_limit, 64 << 20);
  EXPECT_EQ(spec.linux_.resources->pids_limit, 100);
  EXPECT_EQ(spec.process.oom_score_adj, 900);
  EXPECT_EQ(spec.linux_.cgroups_path, "/estiba/podu1/c1");
  EXPECT_FALSE(spec.linux_.resources->devices.empty());
  EXPECT_EQ(resources_json({}), "{}");
  // Swap alone is said where groups can tell it from memory.
  const std::string half = resources_json({.memory_bytes = 9, .memory_swap_bytes = 9, .swap_bytes = 5});
  const std::string any = resources_json({.swap_bytes = -1});
  if (runtime::limits_swap()) {
    EXPECT_EQ(half, R"({"memory":{"limit":9},"unified":{"memory.swap.max":"5"}})");
    EXPECT_EQ(any, R"({"unified":{"memory.swap.max":"max"}})");
  } else {
    EXPECT_EQ(half, R"({"memory":{"limit":9,"swap":9}})");
    EXPECT_EQ(any, "{}");
  }
}

TEST_F(BundleTest, MountsComeParentsFirstAndMissingSourcesAreTold) {
  spec_.mounts = {{"/tmp", "/data/deep", true}, {"/usr", "/data"}, {"/tmp", "/dev/shm"}};
  auto spec = make();
  std::vector<std::string> order;
  for (const auto& m : spec.mounts) order.push_back(m.destination);
  auto at = [&](std::string_view path) { return std::find(order.begin(), order.end(), path) - order.begin(); };
  EXPECT_LT(at("/data"), at("/data/deep"));
  EXPECT_EQ(std::count(order.begin(), order.end(), "/dev/shm"), 1);
  EXPECT_TRUE(has(spec.mounts[size_t(at("/data/deep"))].options, "ro"));
  spec_.mounts = {{"/not/there", "/x"}};
  EXPECT_EQ(error(), "CreateContainerConfigError: the source of mount /x, /not/there, does not exist on the node");
  spec_.mounts = {{"/tmp", "x"}};
  EXPECT_TRUE(error().starts_with("CreateContainerConfigError: the mount path \"x\" is not absolute"));
}

TEST_F(BundleTest, PrivilegeDecidesWhatIsMasked) {
  auto spec = make();
  EXPECT_TRUE(has(spec.linux_.masked_paths, "/proc/kcore"));
  EXPECT_TRUE(has(spec.linux_.readonly_paths, "/proc/sys"));
  EXPECT_FALSE(spec.linux_.seccomp);
  spec_.seccomp = ContainerSpec::Seccomp::runtime_default;
  EXPECT_TRUE(make().linux_.seccomp);
  spec_.privileged = true;
  spec = make();
  EXPECT_TRUE(spec.linux_.masked_paths.empty());
  EXPECT_FALSE(spec.linux_.seccomp);
  EXPECT_FALSE(spec.linux_.devices.empty());
}

}  // namespace
}  // namespace estiba::engine
