#include "os/process.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/strings.h"
#include "os/file.h"
#include "os/syscall.h"

namespace estiba::os {

bool has_pidfds() {
  static const bool has = [] {
    Fd own(int(syscall(SYS_pidfd_open, getpid(), 0)));
    return own || (errno != ENOSYS && errno != EPERM);
  }();
  return has;
}

namespace {

// Before Linux 5.3.
long clone_by_registers(uint64_t flags, int* pidfd) {
  if (pidfd) flags |= CLONE_PIDFD;
  // The order of the last two differs between machines, and both are 0.
  return syscall(SYS_clone, flags | SIGCHLD, nullptr, pidfd, 0, 0);
}

long clone_now(const CloneOptions& options, int* pidfd, int cgroup) {
  static bool missing = false;
  if (!missing) {
    clone_args args{};
    args.flags = options.flags;
    // With CLONE_PARENT the signal is the one of the caller's own parent, and clone3 wants none here.
    args.exit_signal = (options.flags & CLONE_PARENT) ? 0 : SIGCHLD;
    if (pidfd) {
      args.flags |= CLONE_PIDFD;
      args.pidfd = uint64_t(reinterpret_cast<uintptr_t>(pidfd));
    }
    if (cgroup >= 0) {
      args.flags |= CLONE_INTO_CGROUP;
      args.cgroup = uint64_t(cgroup);
    }
    const long pid = syscall(SYS_clone3, &args, cgroup >= 0 ? size_t(CLONE_ARGS_SIZE_VER2) : size_t(CLONE_ARGS_SIZE_VER0));
    if (pid >= 0 || errno != ENOSYS) return pid;
    missing = true;
  }
  if (cgroup >= 0) {
    errno = EINVAL;
    return -1;
  }
  return clone_by_registers(options.flags, pidfd);
}

Result<void> move_child(pid_t pid, int cgroup) {
  auto moved = write_file_at(cgroup, "cgroup.procs", std::to_string(pid));
  if (moved || moved.error().sys == ESRCH) return {};
  (void)send_signal(pid, SIGKILL);
  (void)wait_child(pid);
  return moved;
}

}  // namespace

Result<pid_t> clone_process(const CloneOptions& options) {
  int pidfd = -1;
  int* wanted = options.pidfd && has_pidfds() ? &pidfd : nullptr;
  long pid = clone_now(options, wanted, options.cgroup);
  bool move = false;
  if (pid < 0 && options.cgroup >= 0 && (errno == EINVAL || errno == E2BIG)) {
    // CLONE_INTO_CGROUP came with Linux 5.7.
    move = true;
    pid = clone_now(options, wanted, -1);
  }
  if (pid < 0) return fail_errno("clone");
  if (pid == 0) return pid_t(0);
  if (wanted) options.pidfd->reset(pidfd);
  if (move) TRY(move_child(pid_t(pid), options.cgroup));
  return pid_t(pid);
}

namespace {
std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& s : strings) out.push_back(const_cast<char*>(s.c_str()));
  out.push_back(nullptr);
  return out;
}

// Descriptors move in two steps: first out of the way, then to their numbers, so that targets and sources may overlap.
void add_file_actions(posix_spawn_file_actions_t& actions, const std::vector<std::pair<int, int>>& fds) {
  int above = 3;
  for (auto [from, to] : fds) above = std::max({above, from + 1, to + 1});
  for (size_t i = 0; i < fds.size(); i++) posix_spawn_file_actions_adddup2(&actions, fds[i].first, above + int(i));
  bool given[3] = {};
  for (size_t i = 0; i < fds.size(); i++) {
    posix_spawn_file_actions_adddup2(&actions, above + int(i), fds[i].second);
    if (fds[i].second < 3) given[fds[i].second] = true;
  }
  for (size_t i = 0; i < fds.size(); i++) posix_spawn_file_actions_addclose(&actions, above + int(i));
  for (int i = 0; i < 3; i++) {
    if (!given[i]) posix_spawn_file_actions_addopen(&actions, i, "/dev/null", O_RDWR, 0);
  }
}
}  // namespace

Result<pid_t> spawn(const SpawnOptions& options) {
  if (options.argv.empty()) return fail(Code::invalid, "spawn: no program named");
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  add_file_actions(actions, options.fds);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
  if (options.new_session) flags |= POSIX_SPAWN_SETSID;
  posix_spawnattr_setflags(&attributes, flags);
  auto argv = pointers(options.argv);
  std::vector<char*> env;
  if (options.env) env = pointers(*options.env);
  pid_t pid = 0;
  int err = posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), options.env ? env.data() : environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (err) return fail_errno("spawn " + options.argv[0], err);
  return pid;
}

Result<Fd> pidfd_open(pid_t pid) {
  if (!has_pidfds()) return Fd();
  int fd = int(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return fail_call("pidfd_open", std::to_string(pid));
  return Fd(fd);
}

Result<pid_t> pid_of(int pidfd) {
  // A directory of a process in /proc: its link is named by the process's number there.
  if (const std::string place = TRY(read_link(fd_path(pidfd))); place.starts_with('/')) {
    if (auto pid = parse_number<pid_t>(std::string_view(place).substr(place.rfind('/') + 1)); pid && *pid > 0) return *pid;
    return fail(Code::not_found, "the process of " + place + " has ended");
  }
  std::string text = TRY(read_file("/proc/self/fdinfo/" + std::to_string(pidfd)));
  for (std::string_view line : split(text, '\n')) {
    if (!line.starts_with("Pid:")) continue;
    if (auto pid = parse_number<pid_t>(trim(line.substr(4))); pid && *pid > 0) return *pid;
  }
  return fail(Code::not_found, "the process of the pidfd has ended");
}

Result<void> send_signal(const Fd& pidfd, pid_t pid, int signal) {
  if (!pidfd) return send_signal(pid, signal);
  if (syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0) return {};
  if (errno == ENOSYS) return send_signal(pid, signal);
  return fail_call("pidfd_send_signal", std::to_string(pid) + " with signal " + std::to_string(signal));
}

Result<void> send_signal(pid_t pid, int signal) {
  if (kill(pid, signal) < 0) return fail_call("kill", std::to_string(pid) + " with signal " + std::to_string(signal));
  return {};
}

namespace {
// Nobody tells of the end of a process that is no child: its number is looked at, until it is another's.
bool await_end_of_number(pid_t pid, int timeout_ms) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  const auto since = start_time(pid);
  for (useconds_t pause = 500; since && alive(pid); pause = std::min<useconds_t>(2 * pause, 20000)) {
    auto now = start_time(pid);
    if (!now || *now != *since) break;
    if (std::chrono::steady_clock::now() >= until) return false;
    usleep(pause);
  }
  return true;
}
}  // namespace

Result<void> await_exit(const Fd& pidfd, pid_t pid, int timeout_ms) {
  int n = 1;
  if (pidfd) {
    pollfd poll_for{pidfd.get(), POLLIN, 0};
    n = retry_interrupted([&] { return poll(&poll_for, 1, timeout_ms); });
  } else if (!await_end_of_number(pid, timeout_ms)) {
    n = 0;
  }
  if (n < 0) return fail_errno("poll of a pidfd");
  if (n == 0) return fail(Code::timeout, "process " + std::to_string(pid) + " does not end");
  return {};
}

namespace {
ExitStatus to_exit_status(int status) {
  if (WIFSIGNALED(status)) return {128 + WTERMSIG(status), WTERMSIG(status)};
  return {WEXITSTATUS(status), 0};
}
}  // namespace

Result<ExitStatus> wait_child(pid_t pid) {
  int status = 0;
  if (retry_interrupted([&] { return waitpid(pid, &status, __WALL); }) < 0) return fail_call("waitpid", std::to_string(pid));
  return to_exit_status(status);
}

Result<std::optional<std::pair<pid_t, ExitStatus>>> reap_any() {
  int status = 0;
  pid_t pid = retry_interrupted([&] { return waitpid(-1, &status, WNOHANG | __WALL); });
  if (pid == 0 || (pid < 0 && errno == ECHILD)) return std::nullopt;
  if (pid < 0) return fail_errno("waitpid");
  return std::pair(pid, to_exit_status(status));
}

Result<std::pair<pid_t, ExitStatus>> wait_any() {
  int status = 0;
  pid_t pid = retry_interrupted([&] { return waitpid(-1, &status, __WALL); });
  if (pid < 0 && errno == ECHILD) return fail(Code::not_found, "waitpid: no children");
  if (pid < 0) return fail_errno("waitpid");
  return std::pair(pid, to_exit_status(status));
}

namespace {
// The fields of /proc/<pid>/stat after the command's name, which may hold spaces and parentheses itself.
Result<std::vector<std::string>> stat_fields(pid_t pid) {
  std::string text = TRY(read_file("/proc/" + std::to_string(pid) + "/stat"));
  size_t close = text.rfind(") ");
  if (close == std::string::npos) return fail(Code::malformed, "/proc/" + std::to_string(pid) + "/stat: no command name");
  std::vector<std::string> out;
  for (std::string_view field : split(std::string_view(text).substr(close + 2), ' ')) out.emplace_back(field);
  return out;
}
}  // namespace

bool alive(pid_t pid) {
  auto fields = stat_fields(pid);
  return fields && !fields->empty() && (*fields)[0] != "Z" && (*fields)[0] != "X";
}

Result<uint64_t> start_time(pid_t pid) {
  auto fields = TRY(stat_fields(pid));
  auto value = fields.size() > 19 ? parse_number<uint64_t>(fields[19]) : std::nullopt;
  if (!value) return fail(Code::malformed, "/proc/" + std::to_string(pid) + "/stat: no start time");
  return *value;
}

Result<void> become_subreaper() {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) return fail_errno("prctl PR_SET_CHILD_SUBREAPER");
  return {};
}

Result<void> set_parent_death_signal(int signal) {
  if (prctl(PR_SET_PDEATHSIG, signal) < 0) return fail_errno("prctl PR_SET_PDEATHSIG");
  return {};
}

Result<void> set_no_new_privileges() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return fail_errno("prctl PR_SET_NO_NEW_PRIVS");
  return {};
}

Result<void> set_dumpable(bool on) {
  if (prctl(PR_SET_DUMPABLE, on ? 1 : 0, 0, 0, 0) < 0) return fail_errno("prctl PR_SET_DUMPABLE");
  return {};
}

void set_process_name(const char* name) { prctl(PR_SET_NAME, name); }

std::optional<int> rlimit_by_name(std::string_view name) {
  static constexpr std::pair<std::string_view, int> table[] = {
      {"RLIMIT_AS", RLIMIT_AS},           {"RLIMIT_CORE", RLIMIT_CORE},         {"RLIMIT_CPU", RLIMIT_CPU},
      {"RLIMIT_DATA", RLIMIT_DATA},       {"RLIMIT_FSIZE", RLIMIT_FSIZE},       {"RLIMIT_LOCKS", RLIMIT_LOCKS},
      {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK}, {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE},
      {"RLIMIT_NOFILE", RLIMIT_NOFILE},   {"RLIMIT_NPROC", RLIMIT_NPROC},       {"RLIMIT_RSS", RLIMIT_RSS},
      {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},   {"RLIMIT_RTTIME", RLIMIT_RTTIME},     {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
      {"RLIMIT_STACK", RLIMIT_STACK}};
  for (auto [text, number] : table) {
    if (text == name) return number;
  }
  return std::nullopt;
}

Result<void> set_rlimit(int resource, uint64_t soft, uint64_t hard) {
  rlimit limit{soft, hard};
  if (setrlimit(static_cast<__rlimit_resource>(resource), &limit) < 0) return fail_call("setrlimit", std::to_string(resource));
  return {};
}

Result<void> set_oom_score_adj(pid_t pid, int value) {
  return write_file("/proc/" + (pid ? std::to_string(pid) : std::string("self")) + "/oom_score_adj", std::to_string(value));
}

void give_back(void* memory, size_t bytes) {
  const uintptr_t page = uintptr_t(sysconf(_SC_PAGESIZE));
  const uintptr_t from = (reinterpret_cast<uintptr_t>(memory) + page - 1) & ~(page - 1);
  const uintptr_t to = (reinterpret_cast<uintptr_t>(memory) + bytes) & ~(page - 1);
  if (from < to) (void)madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
}

void reset_signals() {
  struct sigaction action{};
  action.sa_handler = SIG_DFL;
  for (int i = 1; i < NSIG; i++) {
    if (i != SIGKILL && i != SIGSTOP) sigaction(i, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace estiba::os
