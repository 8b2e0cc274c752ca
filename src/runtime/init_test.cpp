#include "runtime/init.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "os/fd.h"
#include "os/process.h"

namespace estiba::runtime {
namespace {

/// An init in a process of its own, subreaper as the first process of a pid namespace would be; its output goes to `out`.
pid_t start_init(std::vector<std::string> words, int out = -1) {
  pid_t pid = fork();
  if (pid > 0) return pid;
  (void)os::become_subreaper();
  if (out >= 0) dup2(out, 1);
  words.insert(words.begin(), {"docker-init", "--"});
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  _exit(init_main(int(words.size()), argv.data()));
}

TEST(Init, GivesTheProgramsExitCode) {
  EXPECT_EQ(os::wait_child(start_init({"sh", "-c", "exit 7"}))->code, 7);
  EXPECT_EQ(os::wait_child(start_init({"sh", "-c", "kill -9 $$"}))->code, 137);
  EXPECT_EQ(os::wait_child(start_init({"no-such-program"}))->code, 127);
  EXPECT_EQ(os::wait_child(start_init({"/etc/passwd"}))->code, 126);
}

TEST(Init, PassesSignalsOn) {
  auto ends = os::make_pipe();
  ASSERT_TRUE(ends);
  pid_t init = start_init({"sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done"}, ends->second.get());
  ends->second.reset();
  char buffer[8];
  EXPECT_GT(::read(ends->first.get(), buffer, sizeof buffer), 0);
  ::kill(init, SIGTERM);
  EXPECT_EQ(os::wait_child(init)->code, 9);
}

TEST(Init, ReapsWhatTheProgramLeaves) {
  auto ends = os::make_pipe();
  ASSERT_TRUE(ends);
  // The inner shell ends at once, so that what it started becomes init's child; it ends, too, and must not stay a zombie.
  pid_t init = start_init({"sh", "-c", "(true & echo $!); exec sleep 1000"}, ends->second.get());
  ends->second.reset();
  char buffer[32] = {};
  EXPECT_GT(::read(ends->first.get(), buffer, sizeof buffer - 1), 0);
  pid_t orphan = pid_t(std::atoi(buffer));
  ASSERT_GT(orphan, 1);
  bool gone = false;
  for (int i = 0; i < 5000 && !gone; i++) {
    gone = ::kill(orphan, 0) < 0;
    if (!gone) usleep(1000);
  }
  EXPECT_TRUE(gone);
  ::kill(init, SIGTERM);
  EXPECT_EQ(os::wait_child(init)->code, 143);
}

}  // namespace
}  // namespace estiba::runtime
