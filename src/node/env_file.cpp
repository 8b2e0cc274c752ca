#include "node/env_file.h"

#include "base/strings.h"

namespace estiba::node {

namespace {

constexpr std::string_view blanks = " \t";

std::string_view skip_blanks(std::string_view text) {
  const size_t at = text.find_first_not_of(blanks);
  return at == std::string_view::npos ? std::string_view() : text.substr(at);
}

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  /// The next line without its end; nothing at the end of the file.
  std::optional<std::string_view> line() {
    if (rest_.empty()) return std::nullopt;
    ++number_;
    const size_t end = rest_.find('\n');
    std::string_view out = rest_.substr(0, end);
    rest_ = end == std::string_view::npos ? std::string_view() : rest_.substr(end + 1);
    if (out.ends_with('\r')) out.remove_suffix(1);
    return out;
  }
  std::unexpected<Error> bad(std::string_view why) const {
    return fail(Code::invalid, "invalid environment variable format at line " + std::to_string(number_) + ": " + std::string(why));
  }

 private:
  std::string_view rest_;
  int number_ = 0;
};

// What stands between the quotes, from behind the first one.
Result<std::string> quoted_value(Reader& reader, std::string_view rest) {
  std::string value;
  for (;;) {
    const size_t end = rest.find('\'');
    if (end != std::string_view::npos) {
      value += rest.substr(0, end);
      const std::string_view after = skip_blanks(rest.substr(end + 1));
      if (!after.empty() && !after.starts_with('#')) return reader.bad("unexpected content after closing quote");
      return value;
    }
    value.append(rest) += '\n';
    const auto next = reader.line();
    if (!next) return reader.bad("unclosed single quote");
    rest = *next;
  }
}

}  // namespace

Result<std::optional<std::string>> env_file_value(std::string_view text, std::string_view key) {
  Reader reader(text);
  while (const auto line = reader.line()) {
    const std::string_view entry = skip_blanks(*line);
    if (entry.empty() || entry.starts_with('#')) continue;
    const auto [name, value] = split_once(entry, '=');
    if (!value) return reader.bad("missing '='");
    if (name.empty()) return reader.bad("empty variable name");
    if (blanks.contains(name.back())) return reader.bad("whitespace before '=' is not allowed");
    std::string found;
    // Blanks first mean an empty value, as in a shell.
    if (skip_blanks(*value) == *value) {
      if (!value->starts_with('\'')) return reader.bad("value must be enclosed in single quotes");
      found = TRY(quoted_value(reader, value->substr(1)));
    }
    if (name == key) return found.empty() ? std::nullopt : std::optional(std::move(found));
  }
  return std::nullopt;
}

}  // namespace estiba::node
