#include "os/own_program.h"

#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <string_view>

#include "os/file.h"
#include "os/mount.h"
#include "os/process.h"
#include "os/syscall.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace estiba::os {

namespace {

constexpr const char* own_file = "/proc/self/exe";
constexpr int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

Result<bool> out_of_reach(int file) {
  struct statfs info;
  if (fstatfs(file, &info) < 0) return fail_call("fstatfs", own_file);
  if (info.f_flags & ST_RDONLY) return true;
  const int has = fcntl(file, F_GET_SEALS);  // EINVAL: no file in memory
  return has >= 0 && (has & seals) == seals;
}

Result<Fd> readonly_mount() {
  if (!has_mount_api()) return fail(Code::unsupported, "no detached mounts");
  Fd tree = TRY(open_tree(AT_FDCWD, own_file, true, false));
  TRY(set_mount_attributes(tree.get(), MOUNT_ATTR_RDONLY, 0, 0, false));
  return tree;
}

Result<Fd> sealed_copy(int file) {
  // MFD_EXEC is known since Linux 6.3, which may refuse files without it (vm.memfd_noexec).
  Fd copy(memfd_create("estiba-oci", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC));
  if (!copy) copy.reset(memfd_create("estiba-oci", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!copy) return fail_errno("memfd_create");
  off_t at = 0;
  const off_t size = TRY(fstat_file(file)).st_size;
  while (at < size) {
    const ssize_t n = retry_interrupted([&] { return sendfile(copy.get(), file, &at, size_t(size - at)); });
    if (n < 0) return fail_errno("sendfile");
    if (n == 0) return fail(Code::conflict, "the program became shorter");
  }
  if (fcntl(copy.get(), F_ADD_SEALS, seals) < 0) return fail_errno("fcntl F_ADD_SEALS");
  // A file that is open for writing is not executed.
  return open_file(fd_path(copy.get()), O_RDONLY);
}

}  // namespace

Result<void> run_out_of_reach(char** argv) {
  const std::string_view name = argv[0] ? argv[0] : "";
  Fd file = TRY(open_file(own_file, O_RDONLY));
  if (TRY(out_of_reach(file.get()))) {
    // A file that was executed by its descriptor is named by the number (fs/exec.c).
    set_process_name(name.data() + name.rfind('/') + 1);
    return {};
  }
  const auto executed = reinterpret_cast<const char*>(getauxval(AT_EXECFN));
  if (executed && std::string_view(executed).starts_with("/dev/fd/"))
    return fail(Code::internal, "the program is within reach of containers although it was moved");
  auto safe = readonly_mount();
  if (!safe) safe = sealed_copy(file.get());
  if (!safe) return std::unexpected(std::move(safe.error()).context("a copy of the program that containers cannot write to"));
  file.reset();
  syscall(SYS_execveat, safe->get(), "", argv, environ, AT_EMPTY_PATH);
  return fail_errno("execveat of the program");
}

}  // namespace estiba::os
