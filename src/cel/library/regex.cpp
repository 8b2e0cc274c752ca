// matches, find and findAll, on expressions of RE2's syntax (regex/regex.h).
#include "cel/regex/regex.h"

#include "cel/function.h"

namespace estiba::cel::library {

namespace {

/// The last pattern of this thread that was no literal: rules that match many texts bring the same one each time.
struct Last {
  std::string pattern;
  std::optional<Regex> regex;
};

/// The literal's compiled pattern, or the one of this call.
struct Pattern {
  Pattern(Context& c, std::string_view text) : regex(c.regex) {
    if (regex) return;
    static thread_local Last last;
    if (!last.regex || last.pattern != text) {
      // Compiling takes far longer than a call costs.
      if (!c.memory.spend(20'000 + 50 * text.size())) {
        error = "too many patterns";
        return;
      }
      last.pattern = text;
      auto compiled = Regex::compile(text);
      last.regex.reset();
      if (!compiled) {
        error = compiled.error().message;
        return;
      }
      c.memory.spend(compiled->work());
      last.regex = std::move(*compiled);
    }
    regex = &*last.regex;
  }
  const Regex* regex;
  std::string error;
};

Value matches(Context& c, Args a) {
  const Pattern pattern(c, a[1].text());
  if (!pattern.regex) return c.memory.error(pattern.error);
  const bool found = pattern.regex->matches(c.memory, a[0].text());
  return c.memory.exhausted() ? Memory::over_limit() : Value::boolean(found);
}

Value find(Context& c, Args a) {
  const Pattern pattern(c, a[1].text());
  if (!pattern.regex) return c.memory.error("Illegal regex: " + pattern.error);
  const auto found = pattern.regex->find(c.memory, a[0].text(), 0);
  if (c.memory.exhausted()) return Memory::over_limit();
  return Value::string(found ? a[0].text().substr(found->from, found->to - found->from) : std::string_view());
}

Value find_all(Context& c, Args a) {
  const Pattern pattern(c, a[1].text());
  if (!pattern.regex) return c.memory.error("Illegal regex: " + pattern.error);
  const std::string_view text = a[0].text();
  const int64_t most = a.size() > 2 ? a[2].as_int() : -1;
  std::vector<Value> out;
  size_t at = 0, last_end = std::string_view::npos;
  while (at <= text.size() && (most < 0 || int64_t(out.size()) < most)) {
    const auto found = pattern.regex->find(c.memory, text, at);
    if (c.memory.exhausted()) return Memory::over_limit();
    if (!found) break;
    // An empty match right behind the last one does not count.
    const bool empty = found->from == found->to;
    if (!empty || found->from != last_end) out.push_back(Value::string(text.substr(found->from, found->to - found->from)));
    last_end = found->to;
    at = found->to;
    if (empty) do
        at++;
      while (at < text.size() && (text[at] & 0xc0) == 0x80);
  }
  return c.memory.list(out);
}

constexpr auto table = std::to_array<Native>({
    {"matches", "matches", "(string,string):bool", matches},
    {"matches", "matches_string", "string.(string):bool", matches},
    {"find", "string_find_string", "string.(string):string", find},
    {"findAll", "string_find_all_string", "string.(string):list(string)", find_all},
    {"findAll", "string_find_all_string_int", "string.(string,int):list(string)", find_all},
});

}  // namespace

std::span<const Native> regex() { return table; }

}  // namespace estiba::cel::library
