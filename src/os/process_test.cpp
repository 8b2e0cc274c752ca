#include "os/process.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/cgroup.h"
#include "os/credentials.h"
#include "os/file.h"
#include "os/namespace.h"
#include "os/pty.h"
#include "os/seccomp.h"

namespace estiba::os {
namespace {

TEST(Process, SpawnMovesDescriptorsAndSaysWhatFailed) {
  auto [read_end, write_end] = *make_pipe();
  auto pid = spawn({.argv = {"sh", "-c", "echo $X; echo err >&2; ls -l /proc/self/fd/0; exit 9"},
                    .env = {{"X=value", "PATH=/bin:/usr/bin"}},
                    .fds = {{write_end.get(), 1}, {write_end.get(), 2}}});
  ASSERT_TRUE(pid) << pid.error().message;
  write_end.reset();
  std::string text = *read_all(read_end.get());
  EXPECT_EQ(wait_child(*pid)->code, 9);
  EXPECT_TRUE(text.starts_with("value\nerr\n")) << text;
  EXPECT_NE(text.find("/dev/null"), std::string::npos) << text;
  auto missing = spawn({.argv = {"/no/such/program"}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "spawn /no/such/program: No such file or directory");
}

TEST(Process, APidfdTellsOfTheEndAndGivesTheNumber) {
  Fd pidfd;
  auto pid = clone_process({.pidfd = &pidfd});
  ASSERT_TRUE(pid);
  if (*pid == 0) {
    pause();
    _exit(1);
  }
  EXPECT_EQ(*pid_of(pidfd.get()), *pid);
  EXPECT_TRUE(alive(*pid));
  EXPECT_EQ(await_exit(pidfd, *pid, 0).error().code, Code::timeout);
  ASSERT_TRUE(send_signal(pidfd, *pid, SIGTERM));
  ASSERT_TRUE(await_exit(pidfd, *pid, 5000));
  EXPECT_FALSE(alive(*pid));  // a zombie
  ExitStatus status = *wait_child(*pid);
  EXPECT_EQ(status.signal, SIGTERM);
  EXPECT_EQ(status.code, 143);
}

// Answers the system calls of `filter` in a child of its own, and gives what `work` returns there.
int with_filter(const SeccompFilter& filter, int (*work)()) {
  auto program = compile_seccomp(filter);
  EXPECT_TRUE(program) << program.error().message;
  const pid_t pid = fork();
  if (pid == 0) _exit(install_seccomp(*program) ? work() : 255);
  return wait_child(pid)->code;
}

// Not yet 5.7: clone3 refuses arguments that it does not know.
TEST(Process, AChildIsMovedIntoItsGroupWhereItCannotBeBornThere) {
  auto group_of_child = []() -> int {
    auto host = CgroupHost::detect();
    if (!host || host->unified.empty()) return 77;
    const std::string dir = host->unified + "/estiba-test-" + std::to_string(getpid());
    if (!make_dir(dir)) return 77;
    int result = 1;
    {
      Fd cgroup = *open_file(dir, O_RDONLY | O_DIRECTORY);
      auto [ours, theirs] = *make_socketpair(SOCK_STREAM);
      Fd pidfd;
      auto pid = clone_process({.flags = CLONE_NEWPID, .cgroup = cgroup.get(), .pidfd = &pidfd});
      if (!pid) return 2;
      if (*pid == 0) {
        char byte;
        ssize_t n = read(theirs.get(), &byte, 1);  // until the parent has returned
        _exit(n == 1 ? 0 : 1);
      }
      const auto own = read_file("/proc/" + std::to_string(*pid) + "/cgroup");
      if (own && own->find("0::/estiba-test-") != std::string::npos && bool(pidfd) == has_pidfds()) result = 0;
      (void)write_all(ours.get(), "x");
      if (wait_child(*pid)->code != 0) result = 3;
    }
    (void)remove_dir(dir);
    return result;
  };
  const SeccompRule no_group = {{"clone3"}, "SCMP_ACT_ERRNO", unsigned(E2BIG), {{1, 64, 0, "SCMP_CMP_GT"}}};
  const SeccompRule no_clone3 = {{"clone3"}, "SCMP_ACT_ERRNO", unsigned(ENOSYS), {}};
  for (const std::vector<SeccompRule>& rules : {std::vector<SeccompRule>{}, {no_group}, {no_clone3}}) {
    const int code = with_filter({.default_action = "SCMP_ACT_ALLOW", .rules = rules}, group_of_child);
    if (code == 77) GTEST_SKIP() << "no cgroup version 2 here";
    EXPECT_EQ(code, 0);
  }
}

TEST(Process, WithoutPidfdsANumberIsWaitedFor) {
  auto pid = clone_process({});
  ASSERT_TRUE(pid);
  if (*pid == 0) {
    pause();
    _exit(1);
  }
  EXPECT_EQ(await_exit(Fd(), *pid, 0).error().code, Code::timeout);
  ASSERT_TRUE(send_signal(Fd(), *pid, SIGTERM));
  ASSERT_TRUE(await_exit(Fd(), *pid, 60000));
  EXPECT_FALSE(alive(*pid));
  EXPECT_EQ(wait_child(*pid)->signal, SIGTERM);
  // A directory of /proc names a process as a pidfd does.
  Fd own = *open_file("/proc/self", O_PATH | O_DIRECTORY);
  EXPECT_EQ(*pid_of(own.get()), getpid());
}

TEST(Process, StartTimeTellsProcessesApart) {
  auto mine = start_time(getpid());
  ASSERT_TRUE(mine);
  pid_t pid = *clone_process({});
  if (pid == 0) _exit(0);
  EXPECT_GE(*start_time(pid), *mine);
  (void)wait_child(pid);
  EXPECT_FALSE(start_time(pid));
}

TEST(Fds, DescriptorsTravelOverASocket) {
  auto [a, b] = *make_socketpair(SOCK_STREAM);
  auto [read_end, write_end] = *make_pipe();
  int fd = write_end.get();
  EXPECT_EQ(*send_with_fds(a.get(), "hello", std::span<const int>(&fd, 1)), 5u);
  char buffer[16];
  std::vector<Fd> fds;
  EXPECT_EQ(*receive_with_fds(b.get(), buffer, sizeof buffer, fds), 5u);
  ASSERT_EQ(fds.size(), 1u);
  write_end.reset();
  ASSERT_TRUE(write_all(fds[0].get(), "through"));
  fds.clear();
  EXPECT_EQ(*read_all(read_end.get()), "through");
}

TEST(Namespaces, AreMadeKeptEnteredAndLeft) {
  auto ns = new_namespace(CLONE_NEWUTS);
  ASSERT_TRUE(ns) << ns.error().message;
  char before[65], inside[65], after[65];
  gethostname(before, sizeof before);
  ASSERT_TRUE(inside_namespace(ns->get(), CLONE_NEWUTS, [&]() -> Result<void> {
    if (auto set = set_hostname("elsewhere"); !set) return set;
    gethostname(inside, sizeof inside);
    return {};
  }));
  gethostname(after, sizeof after);
  EXPECT_STREQ(inside, "elsewhere");
  EXPECT_STREQ(before, after);
  EXPECT_EQ(open_namespace("/proc/self/ns/net", CLONE_NEWUTS).error().message, "/proc/self/ns/net is a net namespace, not uts");
  EXPECT_EQ(open_namespace("/etc/passwd", CLONE_NEWUTS).error().code, Code::invalid);
}

TEST(Pty, TheSlaveIsATerminalOfTheGivenSize) {
  auto pty = open_pty("/dev/ptmx");
  ASSERT_TRUE(pty) << pty.error().message;
  EXPECT_TRUE(isatty(pty->slave.get()));
  EXPECT_TRUE(set_window_size(pty->master.get(), 100, 30));
  EXPECT_EQ(open_pty("/dev/null").error().code, Code::invalid);
}

TEST(CapabilityNames, GoBothWays) {
  EXPECT_EQ(capability_by_name("CAP_SYS_ADMIN"), 21);
  EXPECT_EQ(capability_name(40), "CAP_CHECKPOINT_RESTORE");
  EXPECT_EQ(capability_by_name("CAP_NONSENSE"), std::nullopt);
  EXPECT_GE(last_capability(), 37);
}

}  // namespace
}  // namespace estiba::os
