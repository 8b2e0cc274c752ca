// Namespaces: namespaces(7), unshare(2), setns(2). Kinds are the CLONE_NEW* constants of <sched.h>.
#pragma once
#include <sched.h>
#include <sys/types.h>

#include <string>

#include "base/function.h"
#include "os/fd.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace estiba::os {

/// "net", "mnt", "pid", "ipc", "uts", "user", "cgroup", "time": the file's name below /proc/<pid>/ns.
const char* namespace_file(int kind);

Result<void> unshare(int kinds);
/// Enters the namespace `fd`; `kind` 0 takes any. A process ID namespace counts for children only.
Result<void> enter_namespace(int fd, int kind);
/// Opens /proc/<pid>/ns/<kind>; pid 0 is this process.
Result<Fd> open_namespace(pid_t pid, int kind);
/// The namespace file at `path` (a bind mount or a /proc link); an error if it is no namespace of that kind.
Result<Fd> open_namespace(const std::string& path, int kind);
/// A new namespace of one kind, held by its descriptor alone; made on a helper thread, so this process is not moved.
/// Not for pid and user.
Result<Fd> new_namespace(int kind);
/// A mount namespace of its own, a private copy of this process's, with what `inside` mounts in it; held by its descriptor alone. Files
/// that `inside` opens see those mounts as long as that descriptor is open, from any thread.
Result<Fd> private_mounts(UniqueFunction<Result<void>()> inside);
/// Binds the namespace `fd` to the file `path` (made if missing), where it lives until unpersist_namespace.
Result<void> persist_namespace(int fd, const std::string& path);
/// Unmounts and removes; missing is fine.
Result<void> unpersist_namespace(const std::string& path);
/// Runs `work` on this thread inside the namespace `fd`, and comes back. For net, ipc, uts and cgroup. Keep it short and
/// do not suspend inside.
Result<void> inside_namespace(int fd, int kind, UniqueFunction<Result<void>()> work);
/// Whether two processes (0: this one) share the namespace of that kind.
Result<bool> same_namespace(pid_t a, pid_t b, int kind);

/// Sets the interface "lo" of this network namespace up.
Result<void> bring_loopback_up();
Result<void> set_hostname(const std::string& name);
Result<void> set_domainname(const std::string& name);

}  // namespace estiba::os
