// Where in a Dockerfile something stands, and errors that show it: "Dockerfile:3: unknown instruction: RNU (did you mean RUN?), in
// "RNU echo hi"".
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::build {

struct Place {
  std::string file = "Dockerfile";
  int line = 0;        ///< from 1; 0: nowhere in particular
  std::string source;  ///< the line as it was written
};

/// "FILE:LINE: message, in "the line itself"".
std::string located(const Place& place, std::string_view message);
[[nodiscard]] std::unexpected<Error> fail_at(const Place& place, std::string_view message, Code code = Code::malformed);

/// A remark that does not stop the build. `rule` is BuildKit's name of the check where it has one.
struct Warning {
  std::string rule, message;
  int line = 0;
};

/// The nearest of `known` to `word` by edit distance, when it is near enough to be what was meant; else empty.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& known);
/// " (did you mean X?)" or "".
std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace estiba::build
