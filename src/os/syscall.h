// Shared by the files of this layer: retrying system calls and naming what failed.
#pragma once
#include <cerrno>
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::os {

/// Repeats a call while it is interrupted by a signal.
template <class F>
auto retry_interrupted(F call) {
  decltype(call()) r;
  do r = call();
  while (r < 0 && errno == EINTR);
  return r;
}

/// The error of a failed call with its object: "open /a/b: No such file or directory".
inline std::unexpected<Error> fail_call(std::string_view call, std::string_view object) {
  int err = errno;
  std::string what(call);
  what.append(" ").append(object);
  return fail_errno(what, err);
}

}  // namespace estiba::os
