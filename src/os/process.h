// Processes: clone3(2) and clone(2), spawn without copying the address space, pidfds, waiting, and what prctl(2) sets.
#pragma once
#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "os/fd.h"

namespace estiba::os {

struct ExitStatus {
  int code = 0;    ///< exit code, or 128 + signal
  int signal = 0;  ///< the signal that ended it, or 0
};

struct CloneOptions {
  uint64_t flags = 0;   ///< CLONE_NEW*, CLONE_PARENT
  int cgroup = -1;      ///< cgroup v2 directory to be born in (CLONE_INTO_CGROUP); before Linux 5.7 the child is moved there at once
  Fd* pidfd = nullptr;  ///< receives the child's pidfd, where there are any
};
/// fork(2) by clone3, or by clone(2) before Linux 5.3: returns 0 in the child, which has a copy of the memory. Only from a process with one
/// thread.
Result<pid_t> clone_process(const CloneOptions& options);

struct SpawnOptions {
  std::vector<std::string> argv;                ///< argv[0] is searched in PATH when it has no slash
  std::optional<std::vector<std::string>> env;  ///< none: this process's
  std::vector<std::pair<int, int>> fds;         ///< from here → to that number there
  bool new_session = false;
};
/// Starts a program by vfork+exec, with default signal dispositions and an empty mask. Descriptors 0–2 that `fds` does not name are
/// /dev/null. Any thread.
Result<pid_t> spawn(const SpawnOptions& options);

/// Whether the kernel has pidfds that can be waited for (5.3). Without them a process is known by its number, which stays its own until it
/// is reaped.
bool has_pidfds();
/// Empty without pidfds.
Result<Fd> pidfd_open(pid_t pid);
/// The process's number as this process's /proc shows it; of a pidfd, or of an open directory /proc/<pid>.
Result<pid_t> pid_of(int pidfd);
Result<void> send_signal(pid_t pid, int signal);
/// To the process of `pidfd`; to the number `pid`, where there are no pidfds.
Result<void> send_signal(const Fd& pidfd, pid_t pid, int signal);
/// Waits until the process has ended, without reaping it; Code::timeout after that many milliseconds. Without a pidfd its number is looked
/// at every 20 ms.
Result<void> await_exit(const Fd& pidfd, pid_t pid, int timeout_ms);
/// Waits for and reaps this child.
Result<ExitStatus> wait_child(pid_t pid);
/// Reaps one ended child without waiting; nullopt when there is none.
Result<std::optional<std::pair<pid_t, ExitStatus>>> reap_any();
/// Waits for and reaps whichever child ends first; Code::not_found without children.
Result<std::pair<pid_t, ExitStatus>> wait_any();
/// Whether the process is there and no zombie.
bool alive(pid_t pid);
/// Field 22 of /proc/<pid>/stat, clock ticks since boot: with the pid it names a process for good.
Result<uint64_t> start_time(pid_t pid);

Result<void> become_subreaper();
/// Kills this process when its parent thread ends.
Result<void> set_parent_death_signal(int signal);
Result<void> set_no_new_privileges();
Result<void> set_dumpable(bool on);
void set_process_name(const char* name);  ///< at most 15 bytes count

/// "RLIMIT_NOFILE" and the like to the number of <sys/resource.h>.
std::optional<int> rlimit_by_name(std::string_view name);
Result<void> set_rlimit(int resource, uint64_t soft, uint64_t hard);
/// Writes /proc/<pid>/oom_score_adj; pid 0 is this process.
Result<void> set_oom_score_adj(pid_t pid, int value);

/// Gives the whole pages of a private range back to the kernel; they read as zeros afterwards.
void give_back(void* memory, size_t bytes);

/// Blocks all signals for this thread / restores the default dispositions and an empty mask (before exec).
void block_signals();
void reset_signals();

}  // namespace estiba::os
