// Starting the first process of a container, or a further one inside it. Both are made in two parts, create and start, with
// the process waiting between them, complete but for execve(2).
//
// These calls clone the calling process, so it must have one thread: estiba-oci's processes and tests only.
#pragma once
#include <sys/types.h>

#include <optional>
#include <string>

#include "base/function.h"
#include "os/cgroup.h"
#include "os/fd.h"
#include "os/seccomp.h"
#include "runtime/spec.h"

namespace estiba::runtime {

struct LaunchOptions {
  std::string id;
  std::string bundle;
  const Spec* spec = nullptr;
  /// The process to run: spec's own, or another one for exec.
  const SpecProcess* process = nullptr;
  /// > 0: run inside the namespaces of this process instead of making a container.
  pid_t join = 0;
  std::optional<os::Cgroup> cgroup;
  bool cgroup_by_pid = false;   ///< somebody else puts the process into its group: `prepare` is called with it made and waiting
  int stdio[3] = {-1, -1, -1};  ///< become 0, 1, 2; -1: what the caller has. Not with a terminal.
  int console_socket = -1;      ///< gets the terminal's master by SCM_RIGHTS; else it is in Launched::terminal
  int preserve_fds = 0;         ///< this many descriptors from 3 on stay open
  std::string exec_fifo;        ///< wait for a reader of this FIFO instead of for Launched::start()
  bool no_pivot = false;
  bool die_with_parent = false;  ///< SIGKILL when the calling process ends
};

struct Launched {
  pid_t pid = 0;
  os::Fd pidfd;     ///< empty where the kernel has none
  os::Fd terminal;  ///< the master, with process.terminal and no console socket
  os::Fd control;

  /// Lets the process go on to execve(2). The error is that of the exec, if it fails.
  Result<void> start();
};

/// Makes options.cgroup, and whatever else is to be there before the process runs. `pid` is the process, or 0 while there is none.
using Prepare = UniqueFunction<Result<void>(std::optional<os::Cgroup>& cgroup, pid_t pid)>;

/// Makes the process; what went wrong in it comes back as this call's error, and then nothing is left of it. `prepare`, if given, runs
/// before the process does: in version 1, whose many groups take as long as a network namespace does, while the process makes that.
Result<Launched> launch(const LaunchOptions& options, Prepare prepare = {});

/// Waits for the container's process behind `fifo` (made with LaunchOptions::exec_fifo) to go on to execve(2).
Result<void> start_by_fifo(const std::string& fifo);

}  // namespace estiba::runtime
