#include "apiserver/custom/pattern.h"

#include <regex.h>

#include "base/strings.h"

namespace estiba::apiserver {

// POSIX extended expressions of the C library, with RE2's character classes written out.
struct Pattern::Program {
  regex_t compiled;
  ~Program() { regfree(&compiled); }
};

namespace {

// The classes that RE2 has and POSIX has not; inside of brackets without brackets of their own.
std::string_view class_of(char c, bool inside) {
  switch (c) {
    case 'd': return inside ? "0-9" : "[0-9]";
    case 'w': return inside ? "0-9A-Za-z_" : "[0-9A-Za-z_]";
    case 's': return inside ? " \t\n\f\r" : "[ \t\n\f\r]";
    case 'D': return inside ? "" : "[^0-9]";
    case 'W': return inside ? "" : "[^0-9A-Za-z_]";
    case 'S': return inside ? "" : "[^ \t\n\f\r]";
    default: return "";
  }
}

Result<std::string> to_posix(std::string_view text) {
  std::string out;
  bool inside = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && i + 1 < text.size()) {
      const char next = text[++i];
      if (const std::string_view set = class_of(next, inside); !set.empty()) out += set;
      else if (next == 'A') out += '^';
      else if (next == 'z') out += '$';
      else if (next == 'n') out += '\n';
      else if (next == 't') out += '\t';
      else if (inside) out += next;
      else out.append(1, '\\').append(1, next);
    } else if (c == '\\') {
      return fail(Code::malformed, "error parsing regexp: trailing backslash at end of expression: ``");
    } else if (text.substr(i).starts_with("(?:")) {
      out += '(';
      i += 2;
    } else {
      if (c == '[' && !inside) inside = true;
      else if (c == ']' && inside && out.back() != '[' && !out.ends_with("[^")) inside = false;
      out += c;
    }
  }
  return out;
}

}  // namespace

Result<Pattern> Pattern::compile(std::string_view text) {
  const std::string posix = TRY(to_posix(text));
  regex_t compiled;
  if (const int error = regcomp(&compiled, posix.c_str(), REG_EXTENDED | REG_NOSUB); error != 0) {
    char why[128];
    regerror(error, &compiled, why, sizeof why);
    return fail(Code::malformed, "error parsing regexp: " + std::string(why) + ": `" + std::string(text) + "`");
  }
  Pattern out;
  out.program_ = std::make_shared<const Program>(compiled);
  return out;
}

bool Pattern::matches(std::string_view text) const { return regexec(&program_->compiled, std::string(text).c_str(), 0, nullptr, 0) == 0; }

}  // namespace estiba::apiserver
