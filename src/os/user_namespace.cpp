#include "os/user_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/strings.h"
#include "os/file.h"
#include "os/mount.h"
#include "os/namespace.h"
#include "os/process.h"
#include "os/syscall.h"

namespace estiba::os {

namespace {

// Of a child that shares our memory. It must be there until the child has ended.
class Stack {
 public:
  Stack() : memory_(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0)) {}
  ~Stack() {
    if (memory_ != MAP_FAILED) munmap(memory_, size);
  }
  Stack(const Stack&) = delete;
  explicit operator bool() const { return memory_ != MAP_FAILED; }
  void* top() const { return static_cast<char*>(memory_) + size; }

 private:
  static constexpr size_t size = 64 << 10;
  void* memory_;
};

// No handler of ours may run in the child: it would do so in our memory.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// Waits to be killed. With all signals blocked the call does not return, so that errno, which is ours, is never written; nor is it one of
// those that mark the thread for pthread_cancel(3).
int wait_for_kill(void*) {
  for (;;) syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
}

struct Inside {
  int user = -1, kind = 0;
  const char* file = nullptr;
  int made = -1, error = 0;
};

// Our thread stands still meanwhile (CLONE_VFORK) and has the same descriptors (CLONE_FILES).
int make_inside(void* argument) {
  auto& in = *static_cast<Inside*>(argument);
  if (setns(in.user, CLONE_NEWUSER) < 0 || ::unshare(in.kind) < 0) in.error = errno;
  else if ((in.made = int(syscall(SYS_openat, AT_FDCWD, in.file, O_RDONLY | O_CLOEXEC))) < 0) in.error = errno;
  _exit(0);
}

}  // namespace

std::string id_map_text(const IdMappings& mappings) {
  std::string out;
  for (const IdMapping& m : mappings)
    out += std::to_string(m.inside) + " " + std::to_string(m.outside) + " " + std::to_string(m.size) + "\n";
  return out;
}

int64_t id_outside(const IdMappings& mappings, uint32_t id) {
  for (const IdMapping& m : mappings)
    if (id >= m.inside && id - m.inside < m.size) return int64_t(m.outside) + (id - m.inside);
  return -1;
}

Result<Fd> new_user_namespace(const IdMappings& uids, const IdMappings& gids) {
  Stack stack;
  if (!stack) return fail_errno("mmap of a stack");
  // Without an exit signal nobody who reaps children in general takes this one.
  const pid_t pid = [&] {
    SignalsBlocked blocked;
    return ::clone(wait_for_kill, stack.top(), CLONE_VM | CLONE_NEWUSER, nullptr);
  }();
  if (pid < 0) return fail_errno("clone with a user namespace");
  const std::string proc = "/proc/" + std::to_string(pid);
  auto work = [&]() -> Result<Fd> {
    TRY(write_file(proc + "/uid_map", id_map_text(uids)));
    TRY(write_file(proc + "/gid_map", id_map_text(gids)));
    return open_namespace(pid, CLONE_NEWUSER);
  };
  auto made = work();
  (void)send_signal(pid, SIGKILL);
  (void)wait_child(pid);
  return made;
}

Result<Fd> new_namespace_inside(int user, int kind) {
  Stack stack;
  if (!stack) return fail_errno("mmap of a stack");
  const std::string file = std::string("/proc/self/ns/") + namespace_file(kind);
  Inside in{user, kind, file.c_str()};
  const pid_t pid = [&] {
    SignalsBlocked blocked;
    return ::clone(make_inside, stack.top(), CLONE_VM | CLONE_VFORK | CLONE_FILES, &in);
  }();
  if (pid < 0) return fail_errno("clone");
  (void)wait_child(pid);
  Fd made(in.made);
  if (!made) return fail_errno(std::string("make a ") + namespace_file(kind) + " namespace in a user namespace", in.error);
  return made;
}

namespace {

// The type of the file system that an open file is on, as mountinfo has it; empty when it is not mounted here.
std::string file_system_of(int fd) {
  auto info = fstat_file(fd);
  auto mounts = read_mountinfo();
  if (!info || !mounts) return {};
  for (const MountInfo& mount : *mounts)
    if (mount.major == major(info->st_dev) && mount.minor == minor(info->st_dev)) return mount.fs_type;
  return {};
}

}  // namespace

Result<void> map_mount_ids(int mount, int user, bool recursive) {
  struct mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = uint64_t(user);
  if (syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attributes, sizeof attributes) == 0) return {};
  const int err = errno;
  if (err == ENOSYS) return fail(Code::unsupported, "id-mapped mounts need Linux 5.12");
  if (err != EINVAL) return fail_errno("mount_setattr MOUNT_ATTR_IDMAP", err);
  const std::string type = file_system_of(mount);
  return fail(Code::unsupported, "the file system " + (type.empty() ? std::string() : type + " ") +
                                     "cannot be mounted with other ids on this kernel (id-mapped mounts)");
}

}  // namespace estiba::os
