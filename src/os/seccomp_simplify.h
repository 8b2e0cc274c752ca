// Makes seccomp programs smaller. What libseccomp exports compares the syscall's number with each number of the profile, once an
// architecture: some 1,600 instructions for a container's profile, which the kernel checks, converts and compiles for every container, and
// walks through for each number once more (kernel/seccomp.c, seccomp_cache_prepare). As ranges of numbers with the same outcome it is a
// third.
#pragma once
#include <string>

namespace estiba::os {

/// `code` is an array of struct sock_filter (linux/filter.h), as seccomp(2) takes it. The result decides every call as `code` does; it is
/// `code` itself when that has anything that is not understood, or would not become smaller.
std::string simplify_seccomp(std::string code);

}  // namespace estiba::os
