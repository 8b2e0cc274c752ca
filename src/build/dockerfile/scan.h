// A Dockerfile's text cut into statements: directives, comments, continued lines and heredocs are dealt with here, and nothing
// is known of what an instruction means.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "build/dockerfile/place.h"

namespace estiba::build {

struct Heredoc {
  std::string name, content;
  bool expand = true;       ///< false when the name was quoted
  bool strip_tabs = false;  ///< <<-NAME; already done to the content
  int descriptor = -1;      ///< 3<<NAME: 3
  std::string opening;      ///< as it stands in the line: "<<-'EOF'"
};

struct Flag {
  std::string name, value;
  bool has_value = false;
};

struct Statement {
  Place place;
  int end_line = 0;
  std::string keyword;  ///< upper case
  std::string written;  ///< the keyword as it was written
  std::vector<Flag> flags;
  std::string arguments;  ///< behind the flags, continuation lines joined
  std::string text;       ///< the whole, as a build shows it: "RUN echo hi"
  std::vector<Heredoc> heredocs;
};

struct Scanned {
  char escape = '\\';
  std::string syntax, check;  ///< of "# syntax=" and "# check="
  std::vector<Statement> statements;
  std::vector<Warning> warnings;
};

/// Errors name `file` and the line.
Result<Scanned> scan(std::string_view text, const std::string& file);

/// Words with their quotes and escapes still on, cut at unquoted white space.
std::vector<std::string> raw_words(std::string_view text, char escape);
/// Takes "--name[=value]" words from the front of `rest`.
std::vector<Flag> take_flags(std::string_view& rest, char escape);

}  // namespace estiba::build
