// semver(), isSemver() and their order (semver.org, version 2).
#include <algorithm>

#include "base/strings.h"
#include "cel/function.h"
#include "cel/library/objects.h"

namespace estiba::cel {

namespace {

bool all_digits(std::string_view text) { return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos; }
bool identifier(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return isalnum(c) || c == '-'; });
}

bool number(std::string_view text, uint64_t& out, std::string_view what, std::string& error) {
  if (!all_digits(text)) return error = "Invalid character(s) found in " + std::string(what) + " number " + quoted(text), false;
  if (text.size() > 1 && text[0] == '0')
    return error = std::string(what) + " number must not contain leading zeroes " + quoted(text), false;
  const auto value = parse_number<uint64_t>(text);
  if (!value) return error = "strconv.ParseUint: parsing " + quoted(text) + ": value out of range", false;
  out = *value;
  return true;
}

}  // namespace

std::optional<SemverObject> parse_semver(std::string_view text, std::string& error) {
  if (text.empty()) return error = "Version string empty", std::nullopt;
  std::vector<std::string_view> parts;
  for (size_t at = 0; parts.size() < 3;) {
    const size_t dot = parts.size() < 2 ? text.find('.', at) : std::string_view::npos;
    parts.push_back(text.substr(at, dot == std::string_view::npos ? dot : dot - at));
    if (dot == std::string_view::npos) break;
    at = dot + 1;
  }
  if (parts.size() != 3) return error = "No Major.Minor.Patch elements found", std::nullopt;
  SemverObject out{{Object::Is::semver}, 0, 0, 0, {}};
  if (!number(parts[0], out.major, "major", error) || !number(parts[1], out.minor, "minor", error)) return std::nullopt;
  std::string_view rest = parts[2], build;
  if (const size_t plus = rest.find('+'); plus != std::string_view::npos) {
    build = rest.substr(plus + 1);
    rest = rest.substr(0, plus);
    for (const std::string_view each : split(build, '.'))
      if (!identifier(each))
        return error = each.empty() ? "Build meta data is empty" : "Invalid character(s) found in build meta data " + quoted(each),
               std::nullopt;
  }
  if (const size_t dash = rest.find('-'); dash != std::string_view::npos) {
    out.prerelease = rest.substr(dash + 1);
    rest = rest.substr(0, dash);
    for (const std::string_view each : split(out.prerelease, '.')) {
      if (each.empty()) return error = "Prerelease is empty", std::nullopt;
      if (!identifier(each)) return error = "Invalid character(s) found in prerelease " + quoted(each), std::nullopt;
      if (all_digits(each) && each.size() > 1 && each[0] == '0')
        return error = "Numeric PreRelease version must not contain leading zeroes " + quoted(each), std::nullopt;
    }
  }
  if (!number(rest, out.patch, "patch", error)) return std::nullopt;
  return out;
}

namespace {

/// "v1.02" is "1.2.0"; nullopt when a short version has more than numbers.
std::optional<std::string> normalized(std::string_view text, std::string& error) {
  if (text.starts_with('v')) text.remove_prefix(1);
  std::vector<std::string> parts;
  for (int i = 0; i < 3; i++) {
    const size_t dot = i < 2 ? text.find('.') : std::string_view::npos;
    std::string_view part = text.substr(0, dot);
    if (part.size() > 1) {
      while (part.starts_with('0')) part.remove_prefix(1);
      const bool digit = !part.empty() && part[0] >= '0' && part[0] <= '9';
      parts.push_back((digit ? "" : "0") + std::string(part));
    } else {
      parts.emplace_back(part);
    }
    if (dot == std::string_view::npos) break;
    text.remove_prefix(dot + 1);
  }
  if (parts.size() < 3 && parts.back().find_first_of("+-") != std::string::npos)
    return error = "short version cannot contain PreRelease/Build meta data", std::nullopt;
  while (parts.size() < 3) parts.emplace_back("0");
  return join(parts, ".");
}

int order(uint64_t a, uint64_t b) { return a < b ? -1 : a > b ? 1 : 0; }

int order_identifiers(std::string_view a, std::string_view b) {
  const bool a_number = all_digits(a), b_number = all_digits(b);
  if (a_number != b_number) return a_number ? -1 : 1;
  // Without leading zeroes the longer number is the larger one.
  if (a_number && a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

int compare_semver(const SemverObject& a, const SemverObject& b) {
  for (const int each : {order(a.major, b.major), order(a.minor, b.minor), order(a.patch, b.patch)})
    if (each) return each;
  if (a.prerelease.empty() || b.prerelease.empty()) return a.prerelease.empty() ? !b.prerelease.empty() : -1;
  const auto left = split(a.prerelease, '.'), right = split(b.prerelease, '.');
  for (size_t i = 0; i < std::min(left.size(), right.size()); i++)
    if (const int each = order_identifiers(left[i], right[i])) return each;
  return order(left.size(), right.size());
}

}  // namespace

namespace library {

namespace {

std::optional<SemverObject> read(Context& c, Args a, std::string& error) {
  if (a.size() < 2 || !a[1].as_bool()) return parse_semver(a[0].text(), error);
  const auto text = normalized(a[0].text(), error);
  return text ? parse_semver(c.memory.arena().keep(*text), error) : std::nullopt;
}

Value to_semver(Context& c, Args a) {
  std::string error;
  const auto version = read(c, a, error);
  return version ? Value::object(c.memory.arena().make<SemverObject>(*version), &types::semver) : c.memory.error(error);
}
Value is_semver(Context& c, Args a) {
  std::string error;
  return Value::boolean(read(c, a, error).has_value());
}

int compare(Args a) { return compare_semver(as<SemverObject>(a[0]), as<SemverObject>(a[1])); }
Value greater(Context&, Args a) { return Value::boolean(compare(a) > 0); }
Value less(Context&, Args a) { return Value::boolean(compare(a) < 0); }
Value compare_to(Context&, Args a) { return Value::integer(compare(a)); }
Value major_of(Context&, Args a) { return Value::integer(int64_t(as<SemverObject>(a[0]).major)); }
Value minor_of(Context&, Args a) { return Value::integer(int64_t(as<SemverObject>(a[0]).minor)); }
Value patch_of(Context&, Args a) { return Value::integer(int64_t(as<SemverObject>(a[0]).patch)); }

constexpr auto table = std::to_array<Native>({
    {"semver", "string_to_semver", "(string):kubernetes.Semver", to_semver},
    {"semver", "string_bool_to_semver", "(string,bool):kubernetes.Semver", to_semver},
    {"isSemver", "is_semver_string", "(string):bool", is_semver},
    {"isSemver", "is_semver_string_bool", "(string,bool):bool", is_semver},
    {"isGreaterThan", "semver_is_greater_than", "kubernetes.Semver.(kubernetes.Semver):bool", greater},
    {"isLessThan", "semver_is_less_than", "kubernetes.Semver.(kubernetes.Semver):bool", less},
    {"compareTo", "semver_compare_to", "kubernetes.Semver.(kubernetes.Semver):int", compare_to},
    {"major", "semver_major", "kubernetes.Semver.():int", major_of},
    {"minor", "semver_minor", "kubernetes.Semver.():int", minor_of},
    {"patch", "semver_patch", "kubernetes.Semver.():int", patch_of},
});

}  // namespace

std::span<const Native> semvers() { return table; }

}  // namespace library
}  // namespace estiba::cel
