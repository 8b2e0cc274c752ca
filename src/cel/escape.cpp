#include "cel/escape.h"

#include <algorithm>
#include <array>

namespace estiba::cel {

static constexpr std::array<std::string_view, 21> reserved = {"true",     "false",   "null",      "in",       "as",  "break",  "const",
                                                              "continue", "else",    "for",       "function", "if",  "import", "let",
                                                              "loop",     "package", "namespace", "return",   "var", "void",   "while"};
static constexpr std::array<std::pair<std::string_view, std::string_view>, 4> escapes = {
    {{"__", "underscores"}, {".", "dot"}, {"-", "dash"}, {"/", "slash"}}};

static bool is_reserved(std::string_view name) { return std::find(reserved.begin(), reserved.end(), name) != reserved.end(); }

std::optional<std::string> escape(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return std::nullopt;
  if (is_reserved(name)) return "__" + std::string(name) + "__";
  std::string out;
  for (size_t i = 0; i < name.size();) {
    const auto found = std::find_if(escapes.begin(), escapes.end(), [&](auto& each) { return name.substr(i).starts_with(each.first); });
    if (found != escapes.end()) {
      out.append("__").append(found->second).append("__");
      i += found->first.size();
      continue;
    }
    const char c = name[i++];
    if (!(c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) return std::nullopt;
    out += c;
  }
  return out;
}

std::optional<std::string> unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    // An escape is "__", one or more characters other than '_', "__".
    const size_t end = text.substr(i, 2) == "__" ? text.find('_', i + 2) : std::string_view::npos;
    if (end == std::string_view::npos || end == i + 2 || text.substr(end, 2) != "__") {
      out += text[i++];
      continue;
    }
    const std::string_view word = text.substr(i + 2, end - i - 2);
    const auto found = std::find_if(escapes.begin(), escapes.end(), [&](auto& each) { return each.second == word; });
    if (found != escapes.end()) out += found->first;
    else if (is_reserved(word) && word.size() + 4 == text.size()) out += word;
    else return std::nullopt;
    i = end + 2;
  }
  return out;
}

}  // namespace estiba::cel
