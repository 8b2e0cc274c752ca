#include "network/testing.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mutex>

#include "base/strings.h"

namespace estiba::network {

void NetTest::SetUp() {
  // One mount namespace for the program, so that bound namespaces never show outside; a network namespace for each test.
  static bool isolated = unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  if (!isolated || unshare(CLONE_NEWNET) < 0) GTEST_SKIP() << "needs the right to make namespaces";
  sh("ip link set lo up");
  char dir[] = "/tmp/estiba-net-XXXXXX";
  dir_ = mkdtemp(dir);
}

void NetTest::end_children() {
  for (int pid : std::exchange(children_, {})) {
    kill(-pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
}

void NetTest::TearDown() {
  end_children();
  if (dir_.empty()) return;
  EXPECT_EQ(leftovers(), "");
  sh("rm -r " + dir_);
}

static std::string wrapped(const std::string& command, const std::string& netns) {
  return netns.empty() ? command : "nsenter --net=" + netns + " sh -c '" + command + "'";
}

std::string NetTest::sh(const std::string& command, const std::string& netns) {
  FILE* pipe = popen((wrapped(command, netns) + " 2>&1").c_str(), "r");
  std::string out;
  char buffer[4096];
  for (size_t size; (size = fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, size);
  int status = pclose(pipe);
  if (status) out += "[exit " + std::to_string(WEXITSTATUS(status)) + "]";
  return out;
}

void NetTest::start(const std::string& command, const std::string& netns) {
  std::string line = wrapped(command, netns);
  int pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
    execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    _exit(127);
  }
  setpgid(pid, pid);
  children_.push_back(pid);
}

std::string NetTest::leftovers() const {
  std::string left;
  for (std::string_view line : split(sh("ip -o link"), '\n'))
    if (!line.empty() && !line.contains(" lo:") && !line.contains(" keep")) left.append(line).append("\n");
  left += sh("nft list tables") + sh("grep " + dir_ + " /proc/self/mountinfo || true") + sh("cd " + dir_ + "; find . -mindepth 1");
  return left;
}

}  // namespace estiba::network
