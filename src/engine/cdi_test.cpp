#include "engine/cdi.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>

#include "engine/bundle.h"
#include "engine/engine.h"
#include "engine/files.h"
#include "runtime/spec.h"

namespace estiba::engine {
namespace {

class CdiTest : public testing::Test {
 protected:
  CdiTest() {
    char name[] = "/tmp/cdi-test-XXXXXX";
    root_ = ::mkdtemp(name);
    dirs_ = {root_ + "/etc", root_ + "/run"};
    for (const auto& dir : dirs_) EXPECT_TRUE(make_dirs(dir));
  }
  ~CdiTest() override { std::filesystem::remove_all(root_); }

  void file(const std::string& name, std::string_view text) { EXPECT_TRUE(write_file(root_ + "/" + name, text)); }
  /// One device "vendor.com/gpu=0" with these edits.
  void device(std::string_view edits) {
    file("etc/v.json",
         R"({"cdiVersion":"1.0.0","kind":"vendor.com/gpu","devices":[{"name":"0","containerEdits":)" + std::string(edits) + "}]}");
  }
  CdiEdits edits(const std::vector<std::string>& names = {"vendor.com/gpu=0"}) {
    auto made = cdi_edits(names, dirs_);
    EXPECT_TRUE(made) << made.error().message;
    return made.value_or(CdiEdits{});
  }
  std::string error(const std::vector<std::string>& names = {"vendor.com/gpu=0"}) {
    auto made = cdi_edits(names, dirs_);
    if (made) return "";
    EXPECT_EQ(reason_of(made.error()), "CreateContainerError");
    return made.error().message;
  }
  runtime::Spec bundle(const std::vector<std::string>& names = {"vendor.com/gpu=0"}) {
    auto text = bundle_config({sandbox_, spec_, image_, identity_, "/roots/c1", "/nowhere", {}, {}, edits(names)});
    EXPECT_TRUE(text) << text.error().message;
    auto parsed = runtime::parse_spec(text.value_or("{}"));
    EXPECT_TRUE(parsed) << parsed.error().message << "\n" << *text;
    return parsed ? std::move(*parsed) : runtime::Spec{};
  }

  std::string root_;
  std::vector<std::string> dirs_;
  SandboxRecord sandbox_{.uid = "u1"};
  ContainerSpec spec_{.id = "c1", .name = "web", .image = "web:1"};
  image::Config image_{.env = {"A=image"}, .entrypoint = {"/entry"}};
  Identity identity_{.uid = 33, .gid = 34, .groups = {44}};
};

constexpr std::string_view whole = R"(
cdiVersion: "0.8.0"
kind: vendor.com/gpu
annotations: {made-by: us}
containerEdits:
  env: [A=driver, DRIVER=7]
  hooks:
  - {hookName: createContainer, path: /usr/bin/hook, args: [hook, update], env: [X=1], timeout: 5}
devices:
- name: "0"
  containerEdits:
    env: [GPU=0]
    additionalGids: [44, 0, 1001]
    deviceNodes:
    - {path: /dev/gpu, hostPath: /dev/full, permissions: rw, fileMode: 384}
    - {path: /dev/null, uid: 0, gid: 5}
    mounts:
    - {hostPath: /usr/lib, containerPath: /opt/driver/lib, options: [ro, nosuid, rbind]}
    - {hostPath: tmpfs, containerPath: /opt, type: tmpfs, options: [size=1m]}
- name: "1"
  containerEdits:
    env: [GPU=1]
)";

TEST_F(CdiTest, DevicesChangeTheConfiguration) {
  file("etc/vendor.yaml", whole);
  spec_.mounts.push_back({.host_path = "/tmp", .container_path = "/opt/driver/lib"});
  spec_.devices.push_back({"/dev/zero", "/dev/gpu"});
  const runtime::Spec spec = bundle();
  EXPECT_TRUE(std::ranges::contains(spec.process.env, "A=driver"));
  EXPECT_FALSE(std::ranges::contains(spec.process.env, "A=image"));
  EXPECT_TRUE(std::ranges::contains(spec.process.env, "GPU=0"));
  EXPECT_FALSE(std::ranges::contains(spec.process.env, "GPU=1"));
  EXPECT_EQ(spec.process.user.additional_gids, (std::vector<uint32_t>{44, 1001}));
  ASSERT_EQ(spec.linux_.devices.size(), 2u);
  const auto& gpu = spec.linux_.devices[0];
  EXPECT_EQ(gpu.path, "/dev/gpu");
  EXPECT_EQ(gpu.type, 'c');
  EXPECT_EQ(gpu.major, 1);
  EXPECT_EQ(gpu.minor, 7);
  EXPECT_EQ(gpu.file_mode, 0600u);
  EXPECT_EQ(gpu.uid, 33u) << "the container's user";
  EXPECT_EQ(spec.linux_.devices[1].uid, 0u);
  EXPECT_EQ(spec.linux_.devices[1].gid, 5u);
  std::vector<std::string> below_opt;
  for (const auto& mount : spec.mounts)
    if (mount.destination.starts_with("/opt")) below_opt.push_back(mount.type + " " + mount.source + " " + mount.destination);
  EXPECT_EQ(below_opt, (std::vector<std::string>{"tmpfs tmpfs /opt", "bind /usr/lib /opt/driver/lib"})) << "instead of the spec's";
  ASSERT_EQ(spec.hooks.create_container.size(), 1u);
  EXPECT_EQ(spec.hooks.create_container[0].args, (std::vector<std::string>{"hook", "update"}));
  EXPECT_EQ(spec.hooks.create_container[0].timeout_seconds, 5);
}

TEST_F(CdiTest, WhatAFileWantsForAllIsDoneOnce) {
  file("etc/vendor.yaml", whole);
  const CdiEdits both = edits({"vendor.com/gpu=1", "vendor.com/gpu=0", "vendor.com/gpu=1"});
  EXPECT_EQ(both.env, (std::vector<std::string>{"A=driver", "DRIVER=7", "GPU=1", "GPU=0"}));
  EXPECT_EQ(both.hooks.create_container.size(), 1u);
  EXPECT_TRUE(edits({}).env.empty());
}

TEST_F(CdiTest, LaterDirectoriesComeFirst) {
  device(R"({"env":["FROM=etc"]})");
  file("run/v.json", R"({"cdiVersion":"0.3.0","kind":"vendor.com/gpu","devices":[{"name":"0","containerEdits":{"env":["FROM=run"]}}]})");
  EXPECT_EQ(edits().env, (std::vector<std::string>{"FROM=run"}));
  file("run/w.json", R"({"cdiVersion":"0.3.0","kind":"vendor.com/gpu","devices":[{"name":"0","containerEdits":{"env":["FROM=w"]}}]})");
  EXPECT_EQ(error(),
            "CDI device vendor.com/gpu=0 is in " + root_ + "/run/v.json and in " + root_ + "/run/w.json: take it out of one of them");
}

TEST_F(CdiTest, DevicesAreListed) {
  file("etc/vendor.yaml", whole);
  file("etc/broken.json", "{");
  file("etc/other.txt", "no file of ours");
  EXPECT_EQ(cdi_devices(dirs_), (std::vector<std::string>{"vendor.com/gpu=0", "vendor.com/gpu=1"}));
  EXPECT_TRUE(cdi_devices({root_ + "/nowhere"}).empty());
}

TEST_F(CdiTest, UnknownDevicesAreNamedWithTheFilesThatCannotBeRead) {
  device(R"({"env":["A=1"]})");
  EXPECT_EQ(
      error({"vendor.com/gpu=0", "vendor.com/gpu=7", "vendor.com/nic=0"}),
      "unresolvable CDI devices vendor.com/gpu=7, vendor.com/nic=0: no file in " + dirs_[0] + " or " + dirs_[1] + " says what they are");
  device(R"({"env":["A"]})");
  EXPECT_TRUE(error().ends_with("; " + dirs_[0] + "/v.json: devices[0].containerEdits.env: must be NAME=value, not \"A\"")) << error();
  EXPECT_EQ(error({"/dev/gpu"}), "CDI device \"/dev/gpu\": a name like vendor.com/gpu=0 is expected");
}

TEST_F(CdiTest, WhatIsWrongInAFileIsNamed) {
  const std::pair<std::string_view, std::string_view> wrong[] = {
      {R"({"deviceNodes":[{"hostPath":"/dev/null"}]})", "deviceNodes[0].path: is required"},
      {R"({"deviceNodes":[{"path":"/dev/x","type":"z"}]})", "deviceNodes[0].type: must be b, c, u or p"},
      {R"({"deviceNodes":[{"path":"/dev/x","permissions":"rx"}]})", "deviceNodes[0].permissions: must be of r, w and m"},
      {R"({"mounts":[{"hostPath":"/x","containerPath":"y"}]})", "mounts[0].containerPath: must be an absolute path, not \"y\""},
      {R"({"mounts":[{"containerPath":"/y"}]})", "mounts[0].hostPath: is required"},
      {R"({"hooks":[{"hookName":"later","path":"/x"}]})", "hooks[0].hookName: must be prestart"},
      {R"({"hooks":[{"hookName":"poststop","path":"x"}]})", "hooks[0].path: must be an absolute path"},
      {R"({"hooks":[{"hookName":"poststop","path":"/x","timeout":0}]})", "hooks[0].timeout: must be greater than 0"},
      {R"({"envs":["A=1"]})", "envs: is no field of CDI 1.0"},
      {R"({})", "devices[0].containerEdits: is required"},
  };
  for (const auto& [edits, words] : wrong) {
    device(edits);
    EXPECT_NE(error().find(words), std::string::npos) << error();
  }
  file("etc/v.json", R"({"cdiVersion":"2.0.0","kind":"vendor.com/gpu","devices":[]})");
  EXPECT_NE(error().find("cdiVersion: \"2.0.0\" is no version that is known here"), std::string::npos) << error();
  file("etc/v.json", R"({"cdiVersion":"0.8.0","kind":"gpu","devices":[]})");
  EXPECT_NE(error().find("kind: must be VENDOR/CLASS"), std::string::npos) << error();
}

TEST_F(CdiTest, WhatThisEngineCannotDoIsRefused) {
  device(R"({"intelRdt":{"closID":"x"}})");
  EXPECT_EQ(error(),
            "CDI device vendor.com/gpu=0 (" + dirs_[0] + "/v.json): devices[0].containerEdits.intelRdt is not offered by this engine");
  device(R"({"deviceNodes":[{"path":"/dev/gpu9"}]})");
  EXPECT_EQ(error(), "CDI device vendor.com/gpu=0 (" + dirs_[0] + "/v.json): device node /dev/gpu9: No such file or directory");
  device(R"({"deviceNodes":[{"path":"/dev/null","type":"b"}]})");
  EXPECT_TRUE(error().ends_with("device node /dev/null is of the type c, not b")) << error();
}

TEST(CdiAnnotationsTest, NameDevices) {
  const auto names =
      cdi_annotated({{"cdi.k8s.io/plugin_a", "v.com/gpu=0,v.com/gpu=1"}, {"cdi.k8s.io/b", "w.com/nic=x:1"}, {"other", "v.com/gpu=9"}});
  EXPECT_EQ(names.value_or({}), (std::vector<std::string>{"w.com/nic=x:1", "v.com/gpu=0", "v.com/gpu=1"}));
  const auto wrong = cdi_annotated({{"cdi.k8s.io/a", "v.com/gpu=0, v.com/gpu=1"}});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message, "annotation cdi.k8s.io/a: \" v.com/gpu=1\" is no name of a CDI device such as vendor.com/gpu=0");
}

}  // namespace
}  // namespace estiba::engine
