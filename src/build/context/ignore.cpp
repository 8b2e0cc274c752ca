#include "build/context/ignore.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::build {
namespace {

/// Reads the set that begins behind `[` at `p`, and says whether it has `c`; `p` ends behind `]`. Malformed: false with `ok` false.
bool in_set(std::string_view pattern, size_t& p, char c, bool& ok) {
  bool negated = p < pattern.size() && pattern[p] == '^';
  if (negated) ++p;
  bool found = false, any = false;
  auto one = [&](char& out) {
    if (p >= pattern.size()) return false;
    if (pattern[p] == '\\') ++p;
    if (p >= pattern.size()) return false;
    out = pattern[p++];
    return true;
  };
  while (p < pattern.size() && (pattern[p] != ']' || !any)) {
    if (pattern[p] == '-' || (pattern[p] == ']' && !any)) break;
    any = true;
    char low = 0, high = 0;
    if (!one(low)) break;
    high = low;
    if (p + 1 < pattern.size() && pattern[p] == '-') {
      ++p;
      if (!one(high)) break;
    }
    found |= low <= c && c <= high;
  }
  ok = any && p < pattern.size() && pattern[p] == ']';
  if (ok) ++p;
  return ok && found != negated;
}

/// One element of the pattern at `p` against `c`.
bool element(std::string_view pattern, size_t& p, char c) {
  bool ok = true;
  if (pattern[p] == '?') {
    ++p;
    return true;
  }
  if (pattern[p] == '[') return in_set(pattern, ++p, c, ok);
  if (pattern[p] == '\\' && p + 1 < pattern.size()) ++p;
  return pattern[p++] == c;
}

std::vector<std::string_view> parts_of(std::string_view path) {
  if (path.empty()) return {};
  return split(path, '/');
}

/// States of a walk over the pattern's parts; one bit a part.
class Walk {
 public:
  explicit Walk(const std::vector<std::string>& parts) : parts_(parts), at_(parts.size() + 1, false) { reach(at_, 0); }
  void step(std::string_view part) {
    std::vector<bool> next(at_.size(), false);
    for (size_t i = 0; i < parts_.size(); ++i) {
      if (!at_[i]) continue;
      if (parts_[i] != "**") {
        if (matches_part(parts_[i], part)) reach(next, i + 1);
        continue;
      }
      reach(next, i);
      if (i + 1 == parts_.size()) next[i + 1] = true;
    }
    at_ = std::move(next);
  }
  bool complete() const { return at_.back(); }
  bool alive() const { return std::find(at_.begin(), at_.end() - 1, true) != at_.end() - 1; }

 private:
  /// "**" also stands for no part at all, but at the pattern's end for at least one: "a/**" does not match "a".
  void reach(std::vector<bool>& set, size_t i) {
    set[i] = true;
    if (i + 1 < parts_.size() && parts_[i] == "**") reach(set, i + 1);
  }
  const std::vector<std::string>& parts_;
  std::vector<bool> at_;
};

}  // namespace

bool matches_part(std::string_view pattern, std::string_view part) {
  size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < part.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = ++p;
      resume = t;
      continue;
    }
    size_t next = p;
    if (p < pattern.size() && element(pattern, next, part[t])) {
      p = next;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool valid_part(std::string_view pattern) {
  for (size_t p = 0; p < pattern.size();) {
    bool ok = true;
    if (pattern[p] == '[') {
      in_set(pattern, ++p, 'a', ok);
      if (!ok) return false;
    } else if (pattern[p] == '\\') {
      if (p + 1 == pattern.size()) return false;
      p += 2;
    } else {
      ++p;
    }
  }
  return true;
}

std::string clean_path(std::string_view path) {
  std::vector<std::string> parts;
  for (std::string_view part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") parts.emplace_back(part);
    else if (!parts.empty()) parts.pop_back();
  }
  return join(parts, "/");
}

Result<PathPattern> PathPattern::parse(std::string_view text) {
  PathPattern out;
  out.text_ = clean_path(text);
  for (std::string_view part : parts_of(out.text_)) {
    if (!valid_part(part))
      return fail(Code::malformed, "syntax error in pattern " + quoted(text) + ": a '[' without ']' or a '\\' at the end");
    if (part == "**" && !out.parts_.empty() && out.parts_.back() == "**") continue;
    out.parts_.emplace_back(part);
  }
  return out;
}

bool PathPattern::matches(std::string_view path) const {
  if (parts_.empty()) return path.empty();
  Walk walk(parts_);
  for (std::string_view part : parts_of(path)) walk.step(part);
  return walk.complete();
}

bool PathPattern::may_match_below(std::string_view path) const {
  if (parts_.empty()) return false;
  Walk walk(parts_);
  for (std::string_view part : parts_of(path)) walk.step(part);
  return walk.alive();
}

Result<IgnoreRules> IgnoreRules::parse(std::string_view text, const std::string& file) {
  IgnoreRules out;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  int number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    if (line.starts_with('#')) continue;
    line = trim(line);
    if (line.empty()) continue;
    bool keep = line.starts_with('!');
    if (keep) line = trim(line.substr(1));
    const std::string where = file + ":" + std::to_string(number);
    if (keep && line.empty()) return fail(Code::malformed, where + ": illegal exclusion pattern: \"!\" without a path");
    PathPattern pattern = TRY_AS(where, PathPattern::parse(line));
    if (pattern.text().empty() && !keep) continue;  // "/" and "." name the context itself, which cannot be left out
    out.add(std::move(pattern), keep);
  }
  return out;
}

bool IgnoreRules::ignored(std::string_view path) const {
  bool out = false;
  for (const Rule& rule : rules_) {
    if (rule.keep != out) continue;  // it would change nothing
    bool hit = rule.pattern.matches(path);
    for (size_t slash = path.find('/'); !hit && slash != path.npos; slash = path.find('/', slash + 1))
      hit = rule.pattern.matches(path.substr(0, slash));
    if (hit) out = !rule.keep;
  }
  return out;
}

bool IgnoreRules::ignored_whole(std::string_view directory) const {
  if (!ignored(directory)) return false;
  return std::none_of(rules_.begin(), rules_.end(), [&](const Rule& rule) { return rule.keep && rule.pattern.may_match_below(directory); });
}

}  // namespace estiba::build
