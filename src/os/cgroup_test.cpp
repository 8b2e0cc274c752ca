#include "os/cgroup.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/strings.h"
#include "os/file.h"
#include "os/process.h"

namespace estiba::os {
namespace {

// Works on whichever version the machine has. The groups are below /estiba-cgroup-test-<pid>.
class CgroupTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!cgroup_host()) GTEST_SKIP() << "no cgroup hierarchy";
    parent = *Cgroup::at("/estiba-cgroup-test-" + std::to_string(getpid()));
    group = *Cgroup::at(parent.path() + "/a");
    auto created = group.create();
    ASSERT_TRUE(created) << created.error().message;
  }
  void TearDown() override {
    for (pid_t pid : children) (void)send_signal(pid, SIGKILL);
    for (pid_t pid : children) (void)wait_child(pid);
    auto removed = parent.remove();
    EXPECT_TRUE(removed) << removed.error().message;
    EXPECT_FALSE(parent.exists());
  }
  pid_t child() {
    pid_t pid = *clone_process({});
    if (pid == 0) {
      while (true) pause();
    }
    children.push_back(pid);
    return pid;
  }
  Cgroup parent, group;
  std::vector<pid_t> children;
};

TEST_F(CgroupTest, HoldsProcessesAndKillsThem) {
  pid_t a = child(), b = child();
  ASSERT_TRUE(group.add(a));
  Cgroup below = *Cgroup::at(group.path() + "/b");
  if ((*cgroup_host())->mode == CgroupMode::v1) {
    ASSERT_TRUE(below.create());
    ASSERT_TRUE(below.add(b));
    EXPECT_EQ(group.pids(false)->size(), 1u);
  } else {
    ASSERT_TRUE(group.add(b));
  }
  EXPECT_EQ(group.pids(true)->size(), 2u);
  ASSERT_TRUE(group.kill_all());
  for (pid_t pid : {a, b}) EXPECT_EQ(wait_child(pid)->signal, SIGKILL);
  children.clear();
  EXPECT_TRUE(group.pids(true)->empty());
}

TEST_F(CgroupTest, AProcessEntersByOpenFiles) {
  auto tasks = group.open_tasks();
  ASSERT_TRUE(tasks) << tasks.error().message;
  if ((*cgroup_host())->mode == CgroupMode::v2) {
    EXPECT_TRUE(tasks->empty());
    return;
  }
  pid_t pid = *clone_process({});
  if (pid == 0) {
    if (!Cgroup::enter(*tasks)) _exit(1);
    while (true) pause();
  }
  children.push_back(pid);
  for (int i = 0; i < 1000 && group.pids(false)->empty(); i++) usleep(1000);
  EXPECT_EQ(*group.pids(false), std::vector<pid_t>{pid});
  for (const auto& [controller, mount] : (*cgroup_host())->v1)
    EXPECT_NE(read_file("/proc/" + std::to_string(pid) + "/cgroup")->find(controller + ":" + group.path()), std::string::npos)
        << controller;
  ASSERT_TRUE(group.kill_all());
  EXPECT_EQ(wait_child(pid)->signal, SIGKILL);
  children.clear();
}

TEST_F(CgroupTest, LimitsAreSetAndShownInTheStatistics) {
  CgroupResources r;
  r.memory_limit = 64 << 20;
  r.pids_limit = 17;
  r.cpu_shares = 512;
  r.cpu_quota_us = 50000;
  r.cpu_period_us = 100000;
  bool v2 = (*cgroup_host())->mode == CgroupMode::v2;
  // Not every kernel has the controller.
  if (exists(group.directory("cpuset") + "/cpuset.cpus")) r.cpuset_cpus = "0";
  auto applied = group.apply(r);
  ASSERT_TRUE(applied) << applied.error().message;
  pid_t pid = child();
  ASSERT_TRUE(group.add(pid));
  auto stats = group.stats();
  ASSERT_TRUE(stats) << stats.error().message;
  EXPECT_EQ(stats->memory_limit, 64u << 20);
  EXPECT_EQ(stats->pids_limit, 17u);
  EXPECT_EQ(stats->pids, 1u);
  if (v2) {
    EXPECT_EQ(*read_file(group.directory() + "/cpu.weight"), "20\n") << "512 shares";
    EXPECT_EQ(*read_file(group.directory() + "/cpu.max"), "50000 100000\n");
    EXPECT_EQ(*read_file(group.directory() + "/memory.max"), "67108864\n");
    EXPECT_EQ(*read_file(group.directory() + "/pids.max"), "17\n");
  }
  // Growing and shrinking with swap, in whichever order the kernel wants it.
  r.memory_limit = 128 << 20;
  r.memory_swap = 256 << 20;
  ASSERT_TRUE(group.apply(r));
  r.memory_limit = 32 << 20;
  r.memory_swap = 32 << 20;
  ASSERT_TRUE(group.apply(r));
  EXPECT_EQ(group.stats()->memory_limit, 32u << 20);
  if (v2)
    EXPECT_EQ(read_file(group.directory() + "/memory.swap.max").value_or("0\n"), "0\n") << "memory and swap together are the memory alone";
  r.memory_limit = -1;
  r.memory_swap = -1;
  ASSERT_TRUE(group.apply(r));
  EXPECT_EQ(group.stats()->memory_limit, 0u);
}

TEST_F(CgroupTest, ABadValueIsAnErrorThatNamesTheFile) {
  CgroupResources r;
  r.cpuset_cpus = "9999";
  auto applied = group.apply(r);
  ASSERT_FALSE(applied);
  EXPECT_NE(applied.error().message.find("cpuset.cpus"), std::string::npos) << applied.error().message;
}

TEST_F(CgroupTest, FreezesAndThaws) {
  pid_t pid = child();
  ASSERT_TRUE(group.add(pid));
  EXPECT_FALSE(*group.frozen());
  ASSERT_TRUE(group.freeze());
  EXPECT_TRUE(*group.frozen());
  ASSERT_TRUE(group.thaw());
  EXPECT_FALSE(*group.frozen());
  // A frozen group can be killed as well.
  ASSERT_TRUE(group.freeze());
  ASSERT_TRUE(group.kill_all());
}

TEST_F(CgroupTest, TellsOfOutOfMemoryKillsByEvent) {
  CgroupResources r;
  r.memory_limit = 4 << 20;
  ASSERT_TRUE(group.apply(r));
  auto watch = OomWatch::open(group);
  ASSERT_TRUE(watch) << watch.error().message;
  EXPECT_EQ(*watch->check(), 0u);
  pid_t pid = *clone_process({});
  if (pid == 0) {
    while (!group.add(0)) {
    }
    for (size_t i = 0;; i++) {
      auto* page = static_cast<volatile char*>(malloc(1 << 20));
      for (size_t at = 0; at < 1 << 20; at += 4096) page[at] = char(i);
    }
  }
  EXPECT_EQ(wait_child(pid)->signal, SIGKILL);
  pollfd poll_for{watch->fd(), POLLIN, 0};
  EXPECT_EQ(poll(&poll_for, 1, 5000), 1);
  EXPECT_GE(*watch->check(), 1u);
}

TEST_F(CgroupTest, PathsAreChecked) {
  EXPECT_EQ(Cgroup::at("relative").error().code, Code::invalid);
  EXPECT_EQ(Cgroup::at("/a/../b").error().code, Code::invalid);
  EXPECT_EQ(Cgroup::at("/").error().code, Code::invalid);
}

TEST_F(CgroupTest, RemovingWhatIsNotThereIsFine) {
  EXPECT_TRUE(Cgroup::at(parent.path() + "/never")->remove());
  EXPECT_EQ(Cgroup::at(parent.path() + "/never")->stats().error().code, Code::not_found);
}

}  // namespace
}  // namespace estiba::os
