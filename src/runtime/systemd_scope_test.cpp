#include "runtime/systemd_scope.h"

#include <unistd.h>

#include "os/file.h"
#include "runtime/test_bundle.h"
#include "runtime/test_systemd.h"

namespace estiba::runtime {
namespace {

using Strings = std::vector<std::string>;
using Texts = std::map<std::string, std::string>;

const ScopeName scope{"a-b.slice", "cri-c.scope"};
const std::string no_limit = "18446744073709551615";

Texts texts_of(const Result<std::vector<UnitProperty>>& properties) {
  Texts out;
  EXPECT_TRUE(properties) << properties.error().message;
  for (const UnitProperty& property : *properties) {
    std::string& text = out[property.name];
    if (const auto* number = std::get_if<uint64_t>(&property.value)) text = std::to_string(*number);
    if (const auto* word = std::get_if<std::string>(&property.value)) text = *word;
    if (const auto* pairs = std::get_if<UnitProperty::Pairs>(&property.value))
      for (const auto& [first, second] : *pairs) text += first + " " + second + ";";
    if (const auto* bytes = std::get_if<std::vector<uint8_t>>(&property.value))
      for (uint8_t byte : *bytes) text += (text.empty() ? "" : " ") + std::to_string(byte);
  }
  return out;
}

class SystemdScope : public testing::Test {
 protected:
  SystemdScope() {
    isolate_test();
    systemd.emplace("/run/systemd-test.sock");
  }

  Result<void> start(std::chrono::milliseconds limit = std::chrono::seconds(30), const std::vector<UnitProperty>& properties = {}) {
    if (!started_) systemd->start();
    started_ = true;
    return TRY(Systemd::connect(limit)).start_scope(scope, "a container", 4711, properties);
  }
  Result<void> stop() {
    if (!started_) systemd->start();
    started_ = true;
    return TRY(Systemd::connect()).stop("cri-c.scope");
  }
  /// What it was called for; it is not there any more then.
  Strings calls() {
    systemd->end();
    Strings out;
    for (const auto& call : systemd->calls) out.push_back(call.member);
    return out;
  }

  std::optional<FakeSystemd> systemd;

 private:
  bool started_ = false;
};

TEST_F(SystemdScope, IsAskedForWithAllThatSystemdIsToKnow) {
  auto made = start(std::chrono::seconds(30), {{"MemoryMax", uint64_t(65536)},
                                               {"AllowedCPUs", std::vector<uint8_t>{3, 1}, true},
                                               {"DeviceAllow", UnitProperty::Pairs{{"/dev/char/1:3", "rw"}, {"char-pts", "m"}}}});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(calls(), (Strings{"Subscribe", "StartTransientUnit"}));
  const os::DbusMessage& call = systemd->calls[1];
  EXPECT_EQ(call.signature, "ssa(sv)a(sa(sv))");
  EXPECT_EQ(call.destination, "org.freedesktop.systemd1");
  os::DbusReader values = call.values();
  EXPECT_EQ(values.string(), "cri-c.scope");
  EXPECT_EQ(values.string(), "replace");
  EXPECT_EQ(FakeSystemd::properties(values), (Texts{{"Description", "a container"},
                                                    {"Slice", "a-b.slice"},
                                                    {"DefaultDependencies", "false"},
                                                    {"Delegate", "true"},
                                                    {"CPUAccounting", "true"},
                                                    {"MemoryAccounting", "true"},
                                                    {"TasksAccounting", "true"},
                                                    {"PIDs", "4711"},
                                                    {"MemoryMax", "65536"},
                                                    {"AllowedCPUs", "3 1"},
                                                    {"DeviceAllow", "/dev/char/1:3 rw, char-pts m"}}));
  EXPECT_EQ(values.u32(), 0u) << "no units beside it";
  values.align(8);
  EXPECT_FALSE(values.failed());
  EXPECT_EQ(values.at(), call.body.size());
}

TEST_F(SystemdScope, IsThereWhenTheJobEndsBeforeItsCallIsAnswered) {
  systemd->signal_first = true;
  auto made = start();
  EXPECT_TRUE(made) << made.error().message;
}

TEST_F(SystemdScope, AJobThatFailsIsToldAndItsUnitForgotten) {
  systemd->result = "failed";
  auto made = start();
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "systemd unit cri-c.scope: its start ended as \"failed\"; journalctl -u cri-c.scope tells why");
  EXPECT_EQ(calls(), (Strings{"Subscribe", "StartTransientUnit", "ResetFailedUnit"}));
}

TEST_F(SystemdScope, AFailedUnitOfThatNameGivesWay) {
  systemd->errors["StartTransientUnit"] = {"org.freedesktop.systemd1.UnitExists"};
  auto made = start();
  EXPECT_TRUE(made) << made.error().message;
  EXPECT_EQ(calls(), (Strings{"Subscribe", "StartTransientUnit", "ResetFailedUnit", "StartTransientUnit"}));
}

TEST_F(SystemdScope, AUnitOfThatNameThatRunsDoesNot) {
  systemd->errors["StartTransientUnit"] = {"org.freedesktop.systemd1.UnitExists", "org.freedesktop.systemd1.UnitExists"};
  auto made = start();
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::already_exists);
  EXPECT_EQ(made.error().message, "systemd unit cri-c.scope: org.freedesktop.systemd1.UnitExists: it says so");
}

TEST_F(SystemdScope, WhatAnOlderSystemdDoesNotKnowIsLeftOut) {
  systemd->errors["StartTransientUnit"] = systemd->errors["SetUnitProperties"] = {"org.freedesktop.DBus.Error.PropertyReadOnly"};
  const std::vector<UnitProperty> properties = {{"TasksMax", uint64_t(7)}, {"AllowedCPUs", std::vector<uint8_t>{1}, true}};
  auto made = start(std::chrono::seconds(30), properties);
  ASSERT_TRUE(made) << made.error().message;
  auto set = Systemd::connect()->set_properties("cri-c.scope", properties);
  ASSERT_TRUE(set) << set.error().message;
  EXPECT_EQ(calls(), (Strings{"Subscribe", "StartTransientUnit", "StartTransientUnit", "SetUnitProperties", "SetUnitProperties"}));
  os::DbusReader values = systemd->calls[2].values();
  (void)values.string();
  (void)values.string();
  const Texts told = FakeSystemd::properties(values);
  EXPECT_TRUE(told.contains("TasksMax"));
  EXPECT_FALSE(told.contains("AllowedCPUs"));
  values = systemd->calls[4].values();
  EXPECT_EQ(values.string(), "cri-c.scope");
  EXPECT_TRUE(values.boolean()) << "for as long as it runs";
  EXPECT_EQ(FakeSystemd::properties(values), (Texts{{"TasksMax", "7"}}));
}

TEST_F(SystemdScope, ABusThatEndsIsTold) {
  systemd->hangs_up_at = "StartTransientUnit";
  auto made = start();
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::unavailable);
  EXPECT_EQ(made.error().message, "systemd unit cri-c.scope: StartTransientUnit: the bus has closed the connection");
}

TEST_F(SystemdScope, NoAnswerIsATimeout) {
  systemd->silent_at = "StartTransientUnit";
  auto made = start(std::chrono::milliseconds(300));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::timeout) << made.error().message;
}

TEST_F(SystemdScope, ABusWithoutSystemdNamesTheFlag) {
  systemd->errors["Subscribe"] = {"org.freedesktop.DBus.Error.ServiceUnknown"};
  auto made = start();
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("systemd is not running"), std::string::npos) << made.error().message;
  EXPECT_NE(made.error().message.find("leave --systemd-cgroup out"), std::string::npos) << made.error().message;
}

TEST_F(SystemdScope, NoBusAndNoSystemdNamesTheFlag) {
  systemd.reset();
  auto none = Systemd::connect();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message,
            "systemd is not running (connect /run/dbus/system_bus_socket: No such file or directory; connect /run/systemd/private: No such "
            "file or directory): leave --systemd-cgroup out (--cgroup-manager cgroupfs), and name the group by a path in cgroupsPath");
}

TEST_F(SystemdScope, StopsAndIsForgotten) {
  auto stopped = stop();
  EXPECT_TRUE(stopped) << stopped.error().message;
  EXPECT_EQ(calls(), (Strings{"Subscribe", "StopUnit", "ResetFailedUnit"}));
}

TEST_F(SystemdScope, OneThatIsNotThereIsStopped) {
  systemd->errors["StopUnit"] = {"org.freedesktop.systemd1.NoSuchUnit"};
  auto stopped = stop();
  EXPECT_TRUE(stopped) << stopped.error().message;
}

TEST(SystemdScopeName, IsOfTheConfigsThreeParts) {
  const auto name = [](const std::string& path) {
    auto made = scope_name(path, "x");
    return made ? made->slice + " " + made->unit : made.error().message;
  };
  EXPECT_EQ(name("kubepods-pod1.slice:cri-containerd:1f"), "kubepods-pod1.slice cri-containerd-1f.scope");
  EXPECT_EQ(name(":libpod:1f"), "system.slice libpod-1f.scope");
  EXPECT_EQ(name("a.slice::1f"), "a.slice 1f.scope");
  EXPECT_EQ(name(""), "system.slice estiba-oci-x.scope");
  EXPECT_EQ(name("/a/b"),
            "linux.cgroupsPath: with --systemd-cgroup it must be of the form \"slice:prefix:name\", not \"/a/b\"; leave "
            "--systemd-cgroup out for a path");
}

TEST(SystemdScopeProperties, OfVersion2) {
  os::CgroupResources r;
  r.cpu_shares = 1024;
  r.cpu_quota_us = 33'333;
  r.cpu_period_us = 50'000;
  r.memory_limit = 1000;
  r.memory_reservation = 500;
  r.memory_swap = 1500;
  r.pids_limit = -1;
  r.cpuset_cpus = "0-2, 9";
  r.cpuset_mems = "0";
  r.unified = {{"memory.high", "900"}, {"memory.min", "max"}, {"hugetlb.2MB.max", "0"}};
  EXPECT_EQ(texts_of(unit_properties(r, os::CgroupMode::v2)), (Texts{{"CPUWeight", "39"},
                                                                     {"CPUQuotaPerSecUSec", "670000"},
                                                                     {"CPUQuotaPeriodUSec", "50000"},
                                                                     {"MemoryMax", "1000"},
                                                                     {"MemoryLow", "500"},
                                                                     {"MemorySwapMax", "500"},
                                                                     {"TasksMax", no_limit},
                                                                     {"AllowedCPUs", "7 2"},
                                                                     {"AllowedMemoryNodes", "1"},
                                                                     {"MemoryHigh", "900"},
                                                                     {"MemoryMin", no_limit}}));
  r = {};
  r.unified = {{"cpu.max", "20000 100000"}, {"cpuset.cpus", "8"}, {"pids.max", "5"}};
  EXPECT_EQ(texts_of(unit_properties(r, os::CgroupMode::v2)),
            (Texts{{"CPUQuotaPerSecUSec", "200000"}, {"CPUQuotaPeriodUSec", "100000"}, {"AllowedCPUs", "0 1"}, {"TasksMax", "5"}}));
  r = {};
  r.cpuset_cpus = "3-1";
  EXPECT_EQ(unit_properties(r, os::CgroupMode::v2).error().message, "linux.resources.cpu.cpus: \"3-1\" is no list of numbers and ranges");
}

TEST(SystemdScopeProperties, OfVersion1) {
  os::CgroupResources r;
  r.cpu_shares = 1024;
  r.cpu_quota_us = -1;
  r.memory_limit = -1;
  r.memory_reservation = 500;
  r.pids_limit = 9;
  r.cpuset_cpus = "0";
  EXPECT_EQ(texts_of(unit_properties(r, os::CgroupMode::v1)), (Texts{{"CPUShares", "1024"},
                                                                     {"CPUQuotaPerSecUSec", no_limit},
                                                                     {"CPUQuotaPeriodUSec", "100000"},
                                                                     {"MemoryLimit", no_limit},
                                                                     {"TasksMax", "9"}}));
}

TEST(SystemdScopeProperties, DevicesOfVersion1) {
  os::CgroupResources r;
  r.devices = {
      {false, 'a', {}, {}, "rwm"}, {true, 'c', 1, 3, "rw"}, {true, 'b', {}, {}, "m"}, {true, 'c', 1, {}, "r"}, {true, 'c', 1, 3, "rw"}};
  EXPECT_EQ(texts_of(unit_properties(r, os::CgroupMode::v1)),
            (Texts{{"DevicePolicy", "strict"}, {"DeviceAllow", "/dev/char/1:3 rw;block-* m;char-mem r;"}}));
  EXPECT_EQ(texts_of(unit_properties(r, os::CgroupMode::v2)), Texts()) << "there systemd lets our program be";
  r.devices.push_back({false, 'c', 1, 3, "w"});
  EXPECT_EQ(texts_of(unit_properties(r, os::CgroupMode::v1)), Texts()) << "no list of what is allowed";
  r.devices = {{true, 'a', {}, {}, "rwm"}};
  EXPECT_EQ(texts_of(unit_properties(r, os::CgroupMode::v1)), Texts());
}

}  // namespace
}  // namespace estiba::runtime
