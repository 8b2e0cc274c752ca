// The memory of one evaluation and what it may use: bytes, and steps of work that no cost formula covers (comparing what is
// nested, searching JSON). Whoever runs out gets the same error as for the cost limit.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cel/arena.h"
#include "cel/value.h"

namespace estiba::cel {

class Memory {
 public:
  static constexpr size_t max_bytes = 64 << 20;
  static constexpr uint64_t default_work = 20'000'000;

  Arena& arena() { return arena_; }
  void reset();

  /// Whether `bytes` more may be allocated; when not, the evaluation is over.
  bool admit(size_t bytes) {
    if (arena_.used() + bytes <= max_bytes) [[likely]]
      return true;
    exhausted_ = true;
    return false;
  }
  /// Counts steps; false when there have been too many.
  bool spend(uint64_t steps) {
    work_ += steps;
    if (work_ <= max_work_) [[likely]]
      return true;
    exhausted_ = true;
    return false;
  }
  bool exhausted() const { return exhausted_; }
  /// Another bound on the steps, also after reset().
  void limit_work(uint64_t steps) { max_work_ = steps; }

  // Values.
  Value error(std::string_view text) { return Value::error(arena_.keep(text)); }
  static Value over_limit() { return Value::error("operation cancelled: actual cost limit exceeded", true); }
  static Value no_overload() { return Value::error("no such overload"); }
  Value string(std::string_view text) { return admit(text.size()) ? Value::string(arena_.keep(text)) : over_limit(); }
  Value bytes(std::string_view text) { return admit(text.size()) ? Value::bytes(arena_.keep(text)) : over_limit(); }
  Value optional(const Value& value) { return Value::optional(arena_.make<Value>(value)); }
  Value list(const std::vector<Value>& items);
  /// An empty list with room for `capacity` items.
  ListBuffer* new_list(uint32_t capacity);
  /// The list with one more item; fatal when memory is used up.
  Value append(const Value& list, const Value& item);
  Value concat(const Value& a, const Value& b);
  Value empty_map() { return Value::map(arena_.make<MapBuffer>(), 0); }
  /// The map with one more entry, whose key it does not have.
  Value insert(const Value& map, const Value& key, const Value& value);

  /// The i-th item; i < list.count().
  Value item(const Value& list, uint32_t i);
  /// The value of a key; nullopt when there is none. An error for what is no key.
  std::optional<Value> find(const Value& map, const Value& key);
  std::optional<Value> find(const Value& map, std::string_view key);
  /// The key of the i-th entry, and its value.
  Value key_at(const Value& map, uint32_t i);
  Value value_at(const Value& map, uint32_t i);
  /// A JSON node's value, bytes decoded; the value of a member of `map`.
  Value read_json(const json::Node& node, const DeclType* decl);
  Value member_value(const Value& map, const json::Node& node);

 private:
  struct Index {
    std::vector<const json::Node*> items;
    std::unordered_map<std::string_view, const json::Node*> keys;
  };
  /// Built the first time that a long array or object is asked for one of its parts.
  Index& index(const json::Node& node);
  const json::Node* child(const json::Node& node, uint32_t i);
  const json::Node* member(const json::Node& node, std::string_view key);
  bool rehash(MapBuffer& buffer);
  uint32_t* slot(MapBuffer& buffer, const Value& key, uint32_t size);

  Arena arena_;
  uint64_t work_ = 0, max_work_ = default_work;
  bool exhausted_ = false;
  std::unordered_map<const json::Node*, Index> indexes_;
};

/// Goes through the items of a list, the keys of a map.
class Items {
 public:
  Items(Memory& memory, const Value& container) : memory_(memory), container_(container) {
    if (container.is_json()) node_ = container.node().begin();
  }
  bool done() const { return at_ >= container_.count(); }
  /// The next item of a list, key of a map; with `value`, the map's value too.
  Value next(Value* value = nullptr);
  uint32_t position() const { return at_; }

 private:
  Memory& memory_;
  Value container_;
  json::Node::Iterator<const json::Node> node_{nullptr};
  uint32_t at_ = 0;
};

}  // namespace estiba::cel
