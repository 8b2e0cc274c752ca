#include "os/process.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/credentials.h"
#include "os/file.h"
#include "os/namespace.h"
#include "os/pty.h"

namespace estiba::os {
namespace {

TEST(Process, SpawnMovesDescriptorsAndSaysWhatFailed) {
  auto [read_end, write_end] = *make_pipe();
  auto pid = spawn({.argv = {"sh", "-c", "echo $X; echo err >&2; ls -l /proc/self/fd/0; exit 9"}, .env = {{"X=value", "PATH=/bin:/usr/bin"}},
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
  EXPECT_EQ(await_exit(pidfd.get(), 0).error().code, Code::timeout);
  ASSERT_TRUE(pidfd_signal(pidfd.get(), SIGTERM));
  ASSERT_TRUE(await_exit(pidfd.get(), 5000));
  EXPECT_FALSE(alive(*pid));  // a zombie
  ExitStatus status = *wait_child(*pid);
  EXPECT_EQ(status.signal, SIGTERM);
  EXPECT_EQ(status.code, 143);
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
