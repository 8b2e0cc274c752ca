// Label selectors, as text ("a=b,c in (d,e),!f") and as the LabelSelector of objects, and field selectors ("spec.nodeName=n").
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/object.h"

namespace estiba::model::meta_v1 {
struct LabelSelector;
}

namespace estiba::model {

struct Requirement {
  enum class Op : uint8_t { in, not_in, exists, not_exists, greater, less };
  std::string key;
  Op op = Op::exists;
  std::vector<std::string> values;  ///< sorted

  /// `value` is null when the label is absent.
  bool matches(const std::string_view* value) const;
};

/// All requirements must hold. Without any it matches everything, unless it is `nothing`.
class LabelSelector {
 public:
  LabelSelector() = default;
  /// Malformed for wrong syntax, invalid for keys and values that no label can have.
  static Result<LabelSelector> parse(std::string_view text);
  /// An absent selector is `nothing()` in Kubernetes: callers decide. An empty one matches everything.
  static Result<LabelSelector> from(const meta_v1::LabelSelector& selector);
  /// Equality with every label (a Service's or ReplicationController's selector).
  template <class Map>
  static LabelSelector equal_to(const Map& labels) {
    LabelSelector out;
    for (const auto& [key, value] : labels) out.requirements_.push_back({key, Requirement::Op::in, {value}});
    return out;
  }
  static LabelSelector nothing() {
    LabelSelector out;
    out.nothing_ = true;
    return out;
  }

  /// `labels` is any container of (key, value) pairs.
  template <class Map>
  bool matches(const Map& labels) const {
    if (nothing_) return false;
    for (const Requirement& requirement : requirements_) {
      std::string_view value;
      bool found = false;
      for (const auto& [key, text] : labels) {
        if (key != requirement.key) continue;
        value = text;
        found = true;
        break;
      }
      if (!requirement.matches(found ? &value : nullptr)) return false;
    }
    return true;
  }
  bool empty() const { return requirements_.empty() && !nothing_; }
  std::span<const Requirement> requirements() const { return requirements_; }
  /// In the syntax that parse reads, keys sorted.
  std::string print() const;

 private:
  std::vector<Requirement> requirements_;
  bool nothing_ = false;
};

struct FieldRequirement {
  std::string path;  ///< "metadata.name", "status.phase"
  bool equal = true;
  std::string value;
};

class FieldSelector {
 public:
  /// "a=b", "a==b", "a!=b", joined by commas; backslash escapes ',', '=' and itself in values.
  static Result<FieldSelector> parse(std::string_view text);

  bool empty() const { return requirements_.empty(); }
  std::span<const FieldRequirement> requirements() const { return requirements_; }
  /// `value_of` gives a path's value, "" when absent.
  bool matches(const std::function<std::string_view(std::string_view path)>& value_of) const;
  /// The value that a path must equal, or null when the selector does not fix it.
  const std::string* fixed(std::string_view path) const;

 private:
  std::vector<FieldRequirement> requirements_;
};

}  // namespace estiba::model
