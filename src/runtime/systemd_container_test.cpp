// Containers whose groups systemd makes.
#include <signal.h>
#include <unistd.h>

#include "base/strings.h"
#include "os/process.h"
#include "runtime/test_container.h"
#include "runtime/test_systemd.h"

namespace estiba::runtime {
namespace {

// Another process that puts the container's into the group of its unit, below the test's own, and writes down what it is asked.
class ScopeTest : public ContainerTest {
 protected:
  ScopeTest() : systemd_("/run/systemd-test.sock") {
    systemd_.on_call = [this](const os::DbusMessage& call) { answer(call); };
  }
  ~ScopeTest() override {
    if (pid_ <= 0) return;
    (void)os::send_signal(pid_, SIGKILL);
    (void)os::wait_child(pid_);
  }

  void serve() {
    pid_ = *os::clone_process({});
    if (pid_ > 0) return;
    systemd_.serve();
    _exit(0);
  }
  CreateOptions scoped() {
    CreateOptions out = options();
    out.systemd_cgroup = true;
    return out;
  }
  std::string asked() { return os::read_file(bundle.dir + "/asked").value_or(""); }

  FakeSystemd systemd_;
  const std::string path_ = bundle.group + "/a.slice/estiba-c.scope";

 private:
  void answer(const os::DbusMessage& call) {
    if (call.destination == "org.freedesktop.DBus") return;
    os::DbusReader values = call.values();
    std::string line = call.member;
    if (!call.body.empty()) line += " " + std::string(values.string());
    if (call.member == "StartTransientUnit") (void)values.string();
    if (call.member == "SetUnitProperties") (void)values.boolean();
    if (call.signature.find("a(sv)") != std::string::npos) {
      auto given = FakeSystemd::properties(values);
      line += " tasks " + given["TasksMax"];
      if (given.contains("PIDs")) {
        os::Cgroup group = *os::Cgroup::at(path_);
        if (!group.create() || !group.add(*parse_number<pid_t>(given["PIDs"]))) line += " in vain";
      }
    }
    (void)os::write_file(bundle.dir + "/asked", line + "\n", O_CREAT | O_APPEND);
  }

  pid_t pid_ = -1;
};

TEST_F(ScopeTest, LivesInTheGroupThatSystemdMakes) {
  // One process, and its group has room for no other: nothing else is put there.
  bundle.configure({"sleep", "100"}, {{"linux.cgroupsPath", R"("a.slice:estiba:c")"}, {"linux.resources", R"({"pids":{"limit":1}})"}});
  serve();
  auto made = create(scoped());
  ASSERT_TRUE(made) << made.error().message;
  const ContainerState state = *load(root, "c");
  EXPECT_EQ(state.unit, "estiba-c.scope");
  EXPECT_EQ(state.cgroup, path_);
  EXPECT_EQ(os::Cgroup::at(path_)->pids(true), std::vector<pid_t>{made->process.pid});
  EXPECT_EQ(os::Cgroup::at(path_)->stats()->pids_limit, 1u);
  ASSERT_TRUE(start(root, "c"));
  os::CgroupResources more;
  more.pids_limit = 33;
  ASSERT_TRUE(update(root, "c", more));
  EXPECT_EQ(os::Cgroup::at(path_)->stats()->pids_limit, 33u);
  ASSERT_TRUE(kill(root, "c", SIGKILL, false));
  (void)os::wait_child(made->process.pid);
  auto removed = remove(root, "c", false);
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_FALSE(os::Cgroup::at(path_)->exists());
  EXPECT_EQ(asked(),
            "Subscribe\nStartTransientUnit estiba-c.scope tasks 1\nSetUnitProperties estiba-c.scope tasks 33\nSubscribe\n"
            "StopUnit estiba-c.scope\nResetFailedUnit estiba-c.scope\n");
}

TEST_F(ScopeTest, ItsProcessMayHaveAUserNamespaceAndAnotherMakeIt) {
  ASSERT_TRUE(os::change_mode(bundle.dir, 0755));
  for (const char* dir : {"/rootfs/proc", "/rootfs/dev"}) ASSERT_TRUE(os::make_dirs(bundle.dir + dir));
  bundle.configure(
      {"sleep", "100"},
      {{"linux.cgroupsPath", R"("a.slice:estiba:c")"},
       {"linux.namespaces", R"([{"type":"user"},{"type":"pid"},{"type":"mount"},{"type":"network","path":"/proc/self/ns/net"}])"},
       {"linux.uidMappings", R"([{"containerID":0,"hostID":100000,"size":1000}])"},
       {"linux.gidMappings", R"([{"containerID":0,"hostID":100000,"size":1000}])"},
       {"mounts", R"([{"destination":"/proc","type":"proc","source":"proc"},{"destination":"/dev","type":"tmpfs","source":"tmpfs"}])"}});
  serve();
  auto made = create(scoped());
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(os::Cgroup::at(path_)->pids(true), std::vector<pid_t>{made->process.pid});
  auto removed = remove(root, "c", true);
  EXPECT_TRUE(removed) << removed.error().message;
  (void)os::wait_child(made->process.pid);
}

TEST_F(ScopeTest, WhatFailsAfterItIsMadeLeavesNone) {
  bundle.configure({"gone"}, {{"linux.cgroupsPath", R"("a.slice:estiba:c")"}});
  serve();
  EXPECT_EQ(create(scoped()).error().code, Code::not_found);
  EXPECT_FALSE(os::Cgroup::at(path_)->exists());
  EXPECT_NE(asked().find("StopUnit estiba-c.scope\n"), std::string::npos) << asked();
  EXPECT_EQ(load(root, "c").error().code, Code::not_found);
}

TEST_F(ScopeTest, ARefusalLeavesNothing) {
  bundle.configure({"sleep", "100"}, {{"linux.cgroupsPath", R"("a.slice:estiba:c")"}});
  systemd_.errors["StartTransientUnit"] = {"org.freedesktop.DBus.Error.InvalidArgs"};
  serve();
  auto made = create(scoped());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "systemd unit estiba-c.scope: org.freedesktop.DBus.Error.InvalidArgs: it says so");
  EXPECT_EQ(load(root, "c").error().code, Code::not_found);
  EXPECT_FALSE(os::exists(root + "/c"));
}

}  // namespace
}  // namespace estiba::runtime
