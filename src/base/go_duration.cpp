#include "base/go_duration.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba {

namespace {

struct Unit {
  std::string_view name;
  uint64_t nanoseconds;
};
constexpr Unit units[] = {{"ns", 1},         {"us", 1000},         {"µs", 1000},          {"μs", 1000},
                          {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}};
constexpr uint64_t most = uint64_t(1) << 63;  // nanoseconds of the longest duration below zero; above it is one less

bool is_digit(char c) { return c >= '0' && c <= '9'; }

struct Number {
  uint64_t whole = 0;
  double fraction = 0;  ///< times `scale`
  double scale = 1;
};

// The number at the text's beginning, which is taken off; nullopt without digits or when it is too large.
std::optional<Number> take_number(std::string_view& text) {
  Number out;
  size_t at = 0;
  bool any = false;
  for (; at < text.size() && is_digit(text[at]); ++at, any = true) {
    if (out.whole > most / 10) return std::nullopt;
    out.whole = out.whole * 10 + uint64_t(text[at] - '0');
  }
  if (at < text.size() && text[at] == '.')
    for (++at; at < text.size() && is_digit(text[at]); ++at, any = true)
      if (out.scale < 1e18) out.fraction = out.fraction * 10 + (text[at] - '0'), out.scale *= 10;
  text.remove_prefix(at);
  return any ? std::optional(out) : std::nullopt;
}

}  // namespace

Result<Duration> parse_go_duration(std::string_view text) {
  const std::string_view whole = text;
  const auto refuse = [&](const std::string& what) { return fail(Code::invalid, "time: " + what + " duration " + quoted(whole)); };
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text == "0") return Duration{};
  if (text.empty()) return refuse("invalid");
  unsigned __int128 total = 0;
  while (!text.empty()) {
    const auto number = take_number(text);
    if (!number) return refuse("invalid");
    const std::string_view name = text.substr(0, std::min(text.find_first_of("0123456789."), text.size()));
    if (name.empty()) return refuse("missing unit in");
    const auto unit = std::ranges::find(units, name, &Unit::name);
    if (unit == std::end(units)) return refuse("unknown unit " + quoted(name) + " in");
    text.remove_prefix(name.size());
    total +=
        (unsigned __int128)(number->whole) * unit->nanoseconds + uint64_t(number->fraction * (double(unit->nanoseconds) / number->scale));
    if (total > most) return refuse("invalid");
  }
  if (total == most && !negative) return refuse("invalid");
  return Duration(negative ? int64_t(-uint64_t(total)) : int64_t(total));
}

Result<Duration> parse_duration_flag(std::string_view flag, std::string_view text, Duration least) {
  const auto parsed = parse_go_duration(text);
  if (parsed && *parsed >= least) return *parsed;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(least).count();
  const std::string bound = least <= Duration{}      ? ""
                            : least < Duration(1000) ? " above zero"
                                                     : " of " + std::to_string(seconds) + "s or more,";
  return fail(Code::invalid, "--" + std::string(flag) + " must be a duration" + bound + " like 1m0s, not " + quoted(text));
}

}  // namespace estiba
