#include "os/namespace.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "os/file.h"
#include "os/mount.h"
#include "os/syscall.h"

namespace estiba::os {

const char* namespace_file(int kind) {
  switch (kind) {
    case CLONE_NEWNET: return "net";
    case CLONE_NEWNS: return "mnt";
    case CLONE_NEWPID: return "pid";
    case CLONE_NEWIPC: return "ipc";
    case CLONE_NEWUTS: return "uts";
    case CLONE_NEWUSER: return "user";
    case CLONE_NEWCGROUP: return "cgroup";
    case CLONE_NEWTIME: return "time";
    default: return "unknown";
  }
}

Result<void> unshare(int kinds) {
  if (::unshare(kinds) < 0) return fail_errno("unshare");
  return {};
}

Result<void> enter_namespace(int fd, int kind) {
  if (setns(fd, kind) < 0) return fail_call("setns", kind ? namespace_file(kind) : "any");
  return {};
}

Result<Fd> open_namespace(pid_t pid, int kind) {
  return open_file("/proc/" + (pid ? std::to_string(pid) : std::string("self")) + "/ns/" + namespace_file(kind), O_RDONLY);
}

Result<Fd> open_namespace(const std::string& path, int kind) {
  Fd fd = TRY(open_file(path, O_RDONLY));
  int found = ioctl(fd.get(), NS_GET_NSTYPE);
  if (found < 0) return fail(Code::invalid, path + " is not a namespace");
  if (found != kind) return fail(Code::invalid, path + " is a " + namespace_file(found) + " namespace, not " + namespace_file(kind));
  return fd;
}

Result<Fd> new_namespace(int kind) {
  Result<Fd> out = fail(Code::internal, "not made");
  std::thread([&] {
    if (auto made = unshare(kind); !made) {
      out = std::unexpected(std::move(made.error()).context(namespace_file(kind)));
      return;
    }
    out = open_file(std::string("/proc/thread-self/ns/") + namespace_file(kind), O_RDONLY);
  }).join();
  return out;
}

Result<Fd> private_mounts(UniqueFunction<Result<void>()> inside) {
  Result<Fd> out = fail(Code::internal, "not made");
  std::thread([&] {
    auto make = [&]() -> Result<Fd> {
      TRY_AS("mnt", unshare(CLONE_NEWNS));
      TRY(mount("", "/", "", MS_REC | MS_PRIVATE));
      TRY(inside());
      return open_file("/proc/thread-self/ns/mnt", O_RDONLY);
    };
    out = make();
  }).join();
  return out;
}

Result<void> persist_namespace(int fd, const std::string& path) {
  Fd file = TRY(open_file(path, O_RDONLY | O_CREAT, 0444));
  return mount(fd_path(fd), path, "", MS_BIND);
}

Result<void> unpersist_namespace(const std::string& path) {
  if (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT) return fail_call("umount", path);
  return remove_file(path);
}

Result<void> inside_namespace(int fd, int kind, UniqueFunction<Result<void>()> work) {
  Fd home = TRY(open_file(std::string("/proc/thread-self/ns/") + namespace_file(kind), O_RDONLY));
  TRY(enter_namespace(fd, kind));
  Result<void> result = work();
  if (auto back = enter_namespace(home.get(), kind); !back) {
    // A thread left in a foreign namespace would do everything else there too.
    abort();
  }
  return result;
}

Result<bool> same_namespace(pid_t a, pid_t b, int kind) {
  auto file = [&](pid_t pid) { return "/proc/" + (pid ? std::to_string(pid) : std::string("self")) + "/ns/" + namespace_file(kind); };
  struct stat x = TRY(stat_file(file(a))), y = TRY(stat_file(file(b)));
  return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

Result<void> bring_loopback_up() {
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno("socket AF_INET");
  ifreq request{};
  memcpy(request.ifr_name, "lo", 3);
  if (ioctl(socket.get(), SIOCGIFFLAGS, &request) < 0) return fail_errno("ioctl SIOCGIFFLAGS lo");
  request.ifr_flags |= IFF_UP;
  if (ioctl(socket.get(), SIOCSIFFLAGS, &request) < 0) return fail_errno("ioctl SIOCSIFFLAGS lo");
  return {};
}

Result<void> set_hostname(const std::string& name) {
  if (sethostname(name.data(), name.size()) < 0) return fail_call("sethostname", name);
  return {};
}

Result<void> set_domainname(const std::string& name) {
  if (setdomainname(name.data(), name.size()) < 0) return fail_call("setdomainname", name);
  return {};
}

}  // namespace estiba::os
