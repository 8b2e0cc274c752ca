#include "os/netns.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <thread>

namespace estiba::os {

// A namespace belongs to a thread (unshare(2)), and one that has changed it is of no further use: it ends.
static Result<void> on_thread(UniqueFunction<Result<void>()> work) {
  Result<void> result;
  std::thread([&] { result = work(); }).join();
  return result;
}

namespace {

Result<void> make_bound(const std::string& path, UniqueFunction<Result<void>()> enter, UniqueFunction<Result<void>()> inside) {
  Fd file(::open(path.c_str(), O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0444));
  if (!file) return fail_errno("make " + path);
  auto made = on_thread([&]() -> Result<void> {
    TRY(enter());
    if (mount("/proc/thread-self/ns/net", path.c_str(), nullptr, MS_BIND, nullptr) < 0)
      return fail_errno("bind a network namespace to " + path);
    return inside();
  });
  if (!made) (void)remove_netns(path);
  return made;
}

}  // namespace

Result<void> make_netns(const std::string& path, UniqueFunction<Result<void>()> inside) {
  return make_bound(
      path,
      []() -> Result<void> {
        if (unshare(CLONE_NEWNET) < 0) return fail_errno("make a network namespace");
        return {};
      },
      std::move(inside));
}

Result<void> bind_netns(const std::string& path, const Fd& ns, UniqueFunction<Result<void>()> inside) {
  return make_bound(
      path,
      [&ns]() -> Result<void> {
        if (setns(ns.get(), CLONE_NEWNET) < 0) return fail_errno("enter a network namespace");
        return {};
      },
      std::move(inside));
}

Result<Fd> open_netns(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_errno("open the network namespace " + path);
  struct statfs info;
  if (fstatfs(fd.get(), &info) < 0) return fail_errno("look at " + path);
  if (info.f_type != NSFS_MAGIC) return fail(Code::not_found, "no network namespace is bound at " + path);
  return fd;
}

Result<void> in_netns(const std::string& path, UniqueFunction<Result<void>()> inside) {
  Fd ns = TRY(open_netns(path));
  return on_thread([&]() -> Result<void> {
    if (setns(ns.get(), CLONE_NEWNET) < 0) return fail_errno("enter the network namespace " + path);
    return inside();
  });
}

Result<void> remove_netns(const std::string& path) {
  // EINVAL: a plain file. Loop, because an interrupted run may have bound twice.
  while (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
  }
  if (errno != EINVAL && errno != ENOENT) return fail_errno("unbind the network namespace " + path);
  if (unlink(path.c_str()) < 0 && errno != ENOENT) return fail_errno("remove " + path);
  return {};
}

}  // namespace estiba::os
