#include "runtime/seccomp_default.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "model/json.h"
#include "os/process.h"
#include "runtime/spec.h"

namespace estiba::runtime {
namespace {

// The errno of a system call made under the profile, 0 if it was let through.
int under_profile(const std::vector<std::string>& capabilities, long (*call)()) {
  auto program = os::compile_seccomp(default_seccomp(capabilities));
  EXPECT_TRUE(program) << program.error().message;
  pid_t pid = *os::clone_process({});
  if (pid == 0) {
    if (!os::install_seccomp(*program)) _exit(255);
    errno = 0;
    call();
    _exit(errno);
  }
  return os::wait_child(pid)->code;
}

TEST(SeccompDefault, LetsOrdinaryCallsThrough) {
  EXPECT_EQ(under_profile({}, [] { return long(getpid()); }), 0);
  EXPECT_EQ(under_profile({}, [] { return long(socket(AF_INET, SOCK_STREAM, 0)); }), 0);
  EXPECT_EQ(under_profile({}, [] { return syscall(SYS_memfd_create, "x", 0); }), 0);
}

TEST(SeccompDefault, RefusesWhatReachesOutOfAContainer) {
  EXPECT_EQ(under_profile({}, [] { return syscall(SYS_unshare, CLONE_NEWUSER); }), EPERM);
  EXPECT_EQ(under_profile({}, [] { return syscall(SYS_mount, "none", "/", "tmpfs", 0, 0); }), EPERM);
  EXPECT_EQ(under_profile({}, [] { return syscall(SYS_add_key, "user", "a", "b", 1, 0); }), EPERM);
  EXPECT_EQ(under_profile({}, [] { return syscall(SYS_io_uring_setup, 1, nullptr); }), EPERM);
  EXPECT_EQ(under_profile({}, [] { return long(socket(40 /* AF_VSOCK */, SOCK_STREAM, 0)); }), ENOSYS);
}

TEST(SeccompDefault, CloneCannotMakeNamespacesAndClone3FallsBack) {
  EXPECT_EQ(under_profile({}, [] { return syscall(SYS_clone, CLONE_NEWUSER, 0, 0, 0, 0); }), ENOSYS);
  EXPECT_EQ(under_profile({}, [] { return syscall(SYS_clone3, nullptr, 0); }), ENOSYS);
}

TEST(SeccompDefault, ACapabilityOpensWhatItGuards) {
  // Not refused by the filter: the kernel itself complains about the arguments.
  EXPECT_EQ(under_profile({"CAP_SYS_ADMIN"}, [] { return syscall(SYS_unshare, 1); }), EINVAL);
  EXPECT_EQ(under_profile({}, [] { return syscall(SYS_chroot, "/nonexistent"); }), EPERM);
  EXPECT_EQ(under_profile({"CAP_SYS_CHROOT"}, [] { return syscall(SYS_chroot, "/nonexistent"); }), ENOENT);
}

TEST(SeccompDefault, ItsJsonIsTheSameProfile) {
  auto spec = parse_spec(R"({"ociVersion":"1.2.0","root":{"path":"r"},"linux":{"namespaces":[{"type":"mount"}],"seccomp":)" +
                         default_seccomp_json({"CAP_CHOWN"}) + "}}");
  ASSERT_TRUE(spec) << spec.error().message;
  auto a = os::compile_seccomp(*spec->linux_.seccomp), b = os::compile_seccomp(default_seccomp({"CAP_CHOWN"}));
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->code, b->code);
}

}  // namespace
}  // namespace estiba::runtime
