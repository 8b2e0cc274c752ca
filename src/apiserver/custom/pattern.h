// Regular expressions of schemas (`pattern`), in the syntax of RE2. One place where the engine is chosen.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::apiserver {

class Pattern {
 public:
  /// Code::malformed says what is wrong with the expression.
  static Result<Pattern> compile(std::string_view text);
  /// Whether the text contains a match.
  bool matches(std::string_view text) const;

 private:
  struct Program;
  std::shared_ptr<const Program> program_;
};

}  // namespace estiba::apiserver
