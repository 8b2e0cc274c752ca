// Sets of fields, as managedFields and server-side apply use them (sigs.k8s.io/structured-merge-diff): a tree whose nodes
// are steps into an object. Sets never change and share their subtrees, so that union, intersection and difference copy
// only where the two differ. A FieldPool holds the nodes; they are freed together.
//
// The texts of steps are views: into a document, a table or the pool. They must live as long as the set.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/json.h"

namespace estiba::model {

/// One step: the name of a field, the keys of a list's element, the value of a set's element, or an index.
struct FieldStep {
  enum class Kind : uint8_t { field, key, value, index };
  Kind kind = Kind::field;
  /// field: the name. key: canonical JSON, {"name":"a","port":80} with names in order. value: canonical JSON. index: digits.
  std::string_view text;
};
/// The order of FieldsV1: by kind, then names by bytes, keys and values as values.
int compare(const FieldStep& a, const FieldStep& b);
inline bool operator==(const FieldStep& a, const FieldStep& b) { return a.kind == b.kind && a.text == b.text; }

struct FieldNode {
  FieldStep step;
  bool member = false;                  ///< the field itself is in the set
  const FieldNode* children = nullptr;  ///< sorted; what below it is in the set
  const FieldNode* next = nullptr;
};

/// A set, or one below a step. No node of it is without a member at or below it. Null: empty.
using FieldSet = const FieldNode*;

class FieldPool {
 public:
  FieldPool() = default;
  FieldPool(const FieldPool&) = delete;
  FieldPool& operator=(const FieldPool&) = delete;

  FieldNode& node(const FieldStep& step, bool member, FieldSet children);
  /// A copy that lives as long as the pool.
  std::string_view keep(std::string_view text);

 private:
  char* allocate(size_t bytes);
  std::vector<std::unique_ptr<char[]>> chunks_;
  size_t used_ = 0, size_ = 0;
};

/// Collects the nodes of one level in any order. Levels nest: those of a deeper one are made between two of this one's.
class FieldLevel {
 public:
  FieldLevel(FieldPool& pool, std::vector<FieldNode*>& scratch) : pool_(pool), scratch_(scratch), base_(scratch.size()) {}
  /// Nothing is added when the node would hold no member.
  void add(const FieldStep& step, bool member, FieldSet children);
  /// The sorted set; the level is empty afterwards.
  FieldSet take();

 private:
  FieldPool& pool_;
  std::vector<FieldNode*>& scratch_;
  size_t base_;
};

using FieldPath = std::vector<FieldStep>;

FieldSet unite(FieldPool& pool, FieldSet a, FieldSet b);
FieldSet intersect(FieldPool& pool, FieldSet a, FieldSet b);
/// What is in `a` and not in `b`, member by member: a.b stays when only a is taken away.
FieldSet subtract(FieldPool& pool, FieldSet a, FieldSet b);
/// The same, with everything below the members of `b`.
FieldSet subtract_below(FieldPool& pool, FieldSet a, FieldSet b);
bool equal(FieldSet a, FieldSet b);
/// The node of a step at this level, or null.
const FieldNode* find(FieldSet set, const FieldStep& step);
bool contains(FieldSet set, const FieldPath& path);
/// A set of one path.
FieldSet single(FieldPool& pool, const FieldPath& path);
/// Every member, a field before what is below it.
void for_each(FieldSet set, const std::function<void(const FieldPath&)>& visit);

/// `.spec.containers[name="c"].image`, as conflicts name fields.
std::string to_string(const FieldPath& path);
/// One path a line, for tests and messages.
std::string to_string(FieldSet set);

/// FieldsV1 from JSON. Steps of a kind that is not known are left out. Code::malformed for a key that is no step.
Result<FieldSet> read_fields(FieldPool& pool, const json::Node& fields);
/// FieldsV1 as JSON, below `object`.
void write_fields(json::Document& document, json::Node& object, FieldSet set);

/// A scalar as keys and values spell it: integral numbers as integers, strings with the escapes of Go's encoder.
void append_canonical(std::string& out, const json::Node& scalar);

}  // namespace estiba::model
