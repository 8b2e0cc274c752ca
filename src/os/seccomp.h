// Seccomp filters: compiled by libseccomp to BPF ahead of time, installed with one call.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "os/fd.h"

namespace estiba::os {

/// One comparison of a syscall's argument: libseccomp's SCMP_CMP_*.
struct SeccompArg {
  unsigned index = 0;
  uint64_t value = 0, value_two = 0;
  std::string op;  ///< "SCMP_CMP_EQ", …
};
struct SeccompRule {
  std::vector<std::string> names;
  std::string action;  ///< "SCMP_ACT_ALLOW", …
  std::optional<unsigned> errno_ret;
  std::vector<SeccompArg> args;
};
struct SeccompFilter {
  std::string default_action;
  std::optional<unsigned> default_errno_ret;
  std::vector<std::string> architectures;  ///< "SCMP_ARCH_X86_64"; empty is the native one
  std::vector<std::string> flags;          ///< "SECCOMP_FILTER_FLAG_LOG", …
  std::vector<SeccompRule> rules;
};
struct SeccompProgram {
  std::string code;      ///< an array of struct sock_filter
  unsigned flags = 0;    ///< SECCOMP_FILTER_FLAG_*
  bool notify = false;   ///< has rules with SCMP_ACT_NOTIFY: installing gives a listener
};

/// Unknown syscall names are skipped (they may be of newer kernels); unknown actions, operators and architectures are errors.
Result<SeccompProgram> compile_seccomp(const SeccompFilter& filter);
/// Installs the program on this thread; needs no_new_privs or CAP_SYS_ADMIN. Gives the listener when the program notifies.
Result<Fd> install_seccomp(const SeccompProgram& program);

}  // namespace estiba::os
