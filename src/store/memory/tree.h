// Tree: the keys of the store at one revision, an immutable ordered map.
//
// A weight-balanced binary tree (Adams; parameters <3, 2> proven by Hirai and Yamamoto, "Balancing weight-balanced
// trees") with shared nodes: copying a Tree is one counter, changing a copy copies the path that is shared with others
// and changes in place what is not. Subtree sizes, needed for the balance anyway, give counts of ranges in O(log n).
//
// Invariants:
//  1. A node that more than one Ref reaches is never changed.
//  2. weight(left) and weight(right) differ at most by a factor of 3, weight being size + 1.
//
// Several threads may read one Tree (const), and copies of one Tree may be changed by different threads.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/memory/ref.h"
#include "store/store.h"

namespace estiba::store {

/// The keys from `first` (inclusive) to `last` (exclusive). Without an end `last` is not looked at.
struct KeyRange {
  std::string first;
  std::string last;
  bool has_end = false;
  static KeyRange of_prefix(std::string_view prefix);
};

class Tree {
 public:
  Tree() = default;
  /// From entries in strictly ascending key order; linear.
  static Tree from_sorted(const std::vector<EntryPtr>& entries);

  uint64_t size() const;
  /// The entry of a key, or null. The pointer lives as long as this Tree.
  const EntryPtr* find(std::string_view key) const;
  /// How many keys are smaller than `key`.
  uint64_t rank(std::string_view key) const;
  uint64_t count(const KeyRange& range) const;
  /// Appends at most `limit` entries (0: all) of the range in key order.
  void collect(const KeyRange& range, uint64_t limit, std::vector<EntryPtr>& out) const;

  /// Inserts, or replaces the entry of the same key.
  void put(EntryPtr entry);
  /// The key must be present.
  void erase(std::string_view key);
  /// Invariant 2 and the order hold everywhere; for tests.
  bool valid() const;

 private:
  struct Node;
  using NodeRef = Ref<Node>;
  struct Node : Counted {
    explicit Node(EntryPtr e) : entry(std::move(e)) {}
    Node(const Node& other) : Counted(), size(other.size), left(other.left), right(other.right), entry(other.entry) {}
    uint32_t size = 1;
    NodeRef left;
    NodeRef right;
    EntryPtr entry;
  };

  static uint64_t size_of(const NodeRef& node);
  static NodeRef own(NodeRef node);
  static void update(Node& node);
  static NodeRef rotate_left(NodeRef node);
  static NodeRef rotate_right(NodeRef node);
  static NodeRef balance(NodeRef node);
  static NodeRef insert(NodeRef node, EntryPtr&& entry);
  static NodeRef remove(NodeRef node, std::string_view key);
  static NodeRef pop_first(NodeRef node, EntryPtr& first);
  static NodeRef build(const EntryPtr* entries, size_t count);
  static bool walk(const Node* node, const KeyRange& range, uint64_t limit, std::vector<EntryPtr>& out);
  static bool check(const Node* node, std::string_view& last, bool& any);

  NodeRef root_;
};

}  // namespace estiba::store
