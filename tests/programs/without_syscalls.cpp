// links: os
// Runs a program as if the kernel were older: system calls named are answered with ENOSYS, and what came to a call later with the error
// that kernels without it give. All that the program starts inherits it.  without_syscalls NAME[,NAME…] -- PROGRAM [ARGUMENT…]
#include <sched.h>
#include <seccomp.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "base/strings.h"
#include "os/seccomp.h"

namespace {

using estiba::os::SeccompRule;

struct Part {
  std::string_view name;
  const char* call;
  unsigned error;
  estiba::os::SeccompArg argument;
};

const Part parts[] = {
    {"close_range-cloexec", "close_range", EINVAL, {2, 4, 4, "SCMP_CMP_MASKED_EQ"}},                                      // 5.11
    {"setns-pidfd", "setns", EINVAL, {1, CLONE_NEWNS | CLONE_NEWPID, CLONE_NEWNS | CLONE_NEWPID, "SCMP_CMP_MASKED_EQ"}},  // 5.8
    {"unshare-time", "unshare", EINVAL, {0, 0x80, 0x80, "SCMP_CMP_MASKED_EQ"}},                                           // 5.6
};

bool add(estiba::os::SeccompFilter& filter, std::string_view name) {
  for (const Part& part : parts) {
    if (part.name != name) continue;
    filter.rules.push_back({{part.call}, "SCMP_ACT_ERRNO", part.error, {part.argument}});
    return true;
  }
  const std::string call(name);
  if (seccomp_syscall_resolve_name(call.c_str()) < 0) return false;
  filter.rules.push_back({{call}, "SCMP_ACT_ERRNO", unsigned(ENOSYS), {}});
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4 || strcmp(argv[2], "--") != 0) return fprintf(stderr, "without_syscalls NAME[,NAME...] -- PROGRAM [ARGUMENT...]\n"), 2;
  estiba::os::SeccompFilter filter;
  filter.default_action = "SCMP_ACT_ALLOW";
  for (std::string_view name : estiba::split(argv[1], ','))
    if (!add(filter, name)) return fprintf(stderr, "without_syscalls: no call %s\n", std::string(name).c_str()), 2;
  auto program = estiba::os::compile_seccomp(filter);
  if (!program) return fprintf(stderr, "without_syscalls: %s\n", program.error().message.c_str()), 2;
  if (auto installed = estiba::os::install_seccomp(*program); !installed)
    return fprintf(stderr, "without_syscalls: %s\n", installed.error().message.c_str()), 2;
  execvp(argv[3], argv + 3);
  perror(argv[3]);
  return 127;
}
