// The `filters` parameter of lists, prunes and events: a JSON object of lists, {"label":["a=b"],"status":["running"]}, or of sets as
// clients before 1.22 wrote them, {"label":{"a=b":true}}.
#pragma once
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::docker {

class Filters {
 public:
  /// Empty text: no filters. Names beyond `allowed` fail as "invalid filter 'x'".
  static Result<Filters> parse(std::string_view text, std::initializer_list<std::string_view> allowed);

  bool empty() const { return fields_.empty(); }
  bool has(std::string_view name) const { return !get(name).empty(); }
  /// Empty when not given.
  const std::vector<std::string>& get(std::string_view name) const;
  void add(std::string name, std::string value) { fields_[std::move(name)].push_back(std::move(value)); }

  /// True when the filter is not given, or one of its values is `value`.
  bool exact(std::string_view name, std::string_view value) const;
  /// True when not given, or one of its values starts `value`.
  bool prefix(std::string_view name, std::string_view value) const;
  /// True when not given, or one of its values is a part of `value`: names of containers and networks. A value with a pattern's
  /// characters at its ends (^name$) is anchored.
  bool contains(std::string_view name, std::string_view value) const;
  /// True when all of "label" ("key" or "key=value") hold and none of "label!" does.
  bool labels(const std::map<std::string, std::string>& labels) const;
  /// A boolean filter: `otherwise` when not given; "invalid filter 'dangling=[x]'" when neither true nor false.
  Result<bool> flag(std::string_view name, bool otherwise) const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> fields_;
};

}  // namespace estiba::docker
