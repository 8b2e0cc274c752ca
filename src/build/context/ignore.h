// .dockerignore: which paths of a context stay out of it (docs.docker.com, ".dockerignore files"; moby/patternmatcher).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::build {

/// One pattern, compiled: parts between slashes, where "**" is any number of parts.
class PathPattern {
 public:
  /// The pattern as it stands in a file or a flag, without "!"; "/a//b/../c/" is "a/c". Malformed: an open "[".
  static Result<PathPattern> parse(std::string_view text);
  /// `path` is relative, without "./" and ends in no slash.
  bool matches(std::string_view path) const;
  /// Whether something below the directory `path` could match.
  bool may_match_below(std::string_view path) const;
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::vector<std::string> parts_;
};

/// The rules of a file in their order: the last that matches a path or a directory above it decides.
class IgnoreRules {
 public:
  /// Comments, blank lines and white space around patterns are left out. Errors name `file` and the line.
  static Result<IgnoreRules> parse(std::string_view text, const std::string& file = ".dockerignore");
  bool ignored(std::string_view path) const;
  /// Whether a directory that is ignored can be left out with everything below it.
  bool ignored_whole(std::string_view directory) const;
  bool empty() const { return rules_.empty(); }
  void add(PathPattern pattern, bool keep) { rules_.push_back({std::move(pattern), keep}); }

 private:
  struct Rule {
    PathPattern pattern;
    bool keep = false;  // "!"
  };
  std::vector<Rule> rules_;
};

/// "a/../b//c/" → "b/c"; ".." does not lead out. "" is the context itself.
std::string clean_path(std::string_view path);
/// One part of a path against a pattern of Go's filepath.Match: `*`, `?`, `[a-z]`, `[^a]`, `\x`.
bool matches_part(std::string_view pattern, std::string_view part);
/// Whether such a pattern is well-formed.
bool valid_part(std::string_view pattern);

}  // namespace estiba::build
