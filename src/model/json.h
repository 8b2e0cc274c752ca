// JSON: an arena document that keeps the order of members and the text of numbers, so that what is parsed and printed
// again is the same but for white space. A Document owns every Node; a Node is a plain reference into it, children are
// linked, and changing one is O(1). Parsing is strict RFC 8259: one value, valid UTF-8, no duplicate members unless
// allowed, nesting bounded.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::json {

enum class Type : uint8_t { null, boolean, number, string, array, object };
std::string_view to_string(Type type);

class Document;

class Node {
 public:
  Type type() const { return type_; }
  bool is_null() const { return type_ == Type::null; }
  bool is_bool() const { return type_ == Type::boolean; }
  bool is_number() const { return type_ == Type::number; }
  bool is_string() const { return type_ == Type::string; }
  bool is_array() const { return type_ == Type::array; }
  bool is_object() const { return type_ == Type::object; }

  /// The member's name when the parent is an object, else empty.
  std::string_view key() const { return key_; }

  bool as_bool(bool otherwise = false) const { return is_bool() ? flag_ : otherwise; }
  /// The string's bytes (unescaped); empty for other types.
  std::string_view as_string(std::string_view otherwise = {}) const { return is_string() ? text_ : otherwise; }
  /// The number's literal text; empty for other types.
  std::string_view number_text() const { return is_number() ? text_ : std::string_view{}; }
  /// nullopt when not a number, not integral or out of range. "1e3" and "1.0" are integral.
  std::optional<int64_t> as_int() const;
  std::optional<double> as_double() const;

  /// Number of children of an array or object.
  uint32_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// The member called `key`, or null when there is none or this is no object.
  const Node* find(std::string_view key) const;
  Node* find(std::string_view key);
  /// Follows member names: at("metadata", "labels"). Null when one is missing.
  template <class... More>
  const Node* at(std::string_view key, More... more) const {
    const Node* child = find(key);
    if constexpr (sizeof...(more) == 0) return child;
    else return child ? child->at(more...) : nullptr;
  }
  /// Shorthand: the string at a path, or "".
  template <class... More>
  std::string_view string_at(More... path) const {
    const Node* node = at(path...);
    return node ? node->as_string() : std::string_view{};
  }
  /// The i-th child; i < size().
  const Node& operator[](uint32_t i) const;
  Node& operator[](uint32_t i);

  template <class N>
  class Iterator {
   public:
    explicit Iterator(N* node) : node_(node) {}
    N& operator*() const { return *node_; }
    N* operator->() const { return node_; }
    Iterator& operator++() {
      node_ = node_->next_;
      return *this;
    }
    bool operator==(const Iterator&) const = default;

   private:
    N* node_;
  };
  Iterator<const Node> begin() const { return Iterator<const Node>(first_child()); }
  Iterator<const Node> end() const { return Iterator<const Node>(nullptr); }
  Iterator<Node> begin() { return Iterator<Node>(first_child()); }
  Iterator<Node> end() { return Iterator<Node>(nullptr); }

 private:
  friend class Document;
  friend class Parser;
  template <class N>
  friend class Iterator;
  Node* first_child() const { return type_ >= Type::array ? first_ : nullptr; }

  Type type_ = Type::null;
  bool flag_ = false;
  uint32_t size_ = 0;
  std::string_view key_;
  std::string_view text_;
  Node* first_ = nullptr;
  Node* last_ = nullptr;
  Node* next_ = nullptr;
};

struct ParseOptions {
  int max_depth = 512;
  bool allow_duplicate_keys = false;  ///< the last one wins, as Go's decoder does
  /// When set and duplicates are allowed, the paths of duplicates are appended here.
  std::vector<std::string>* duplicates = nullptr;
};

class Document {
 public:
  Document();
  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;
  ~Document();

  /// Malformed input gives the line and column and what was expected there.
  static Result<Document> parse(std::string_view text, const ParseOptions& options = {});

  Node& root() { return *root_; }
  const Node& root() const { return *root_; }
  void set_root(Node& node) { root_ = &node; }

  // New nodes, owned by this document. Text is copied into the arena.
  Node& make_null();
  Node& make_bool(bool value);
  Node& make_int(int64_t value);
  Node& make_double(double value);
  /// `literal` must be a valid JSON number.
  Node& make_number(std::string_view literal);
  Node& make_string(std::string_view text);
  Node& make_array();
  Node& make_object();
  /// A deep copy of a node of any document.
  Node& copy(const Node& node);

  // Changes. A node has one parent: link fresh nodes or copies only.
  /// Adds or replaces (in place) the member `key` of an object; returns `value`.
  Node& set(Node& object, std::string_view key, Node& value);
  Node& set(Node& object, std::string_view key, std::string_view text) { return set(object, key, make_string(text)); }
  /// Adds the member `key`, which the object must not have: without looking for it.
  Node& add(Node& object, std::string_view key, Node& value);
  /// The object member `key` of `object`, made when missing or null.
  Node& ensure_object(Node& object, std::string_view key);
  Node& append(Node& array, Node& value);
  /// Puts `value` before the i-th element (i == size() appends).
  Node& insert(Node& array, uint32_t i, Node& value);
  bool remove(Node& object, std::string_view key);
  void remove(Node& array, uint32_t i);
  void clear(Node& container);
  /// Overwrites what `target` is with a copy of `value`, keeping its place and key.
  void assign(Node& target, const Node& value);

 private:
  friend class Parser;
  struct Arena;
  explicit Document(std::nullptr_t);
  static void unlink(Node& container, Node* before, Node* child);
  std::unique_ptr<Arena> arena_;
  Node* root_ = nullptr;
};

/// Compact text, with the escapes that Go's encoder uses (<, > and & become \u00XX).
std::string print(const Node& node);
void print_to(std::string& out, const Node& node);
/// Indented by two spaces.
std::string print_pretty(const Node& node);
/// Appends `text` as a JSON string with quotes.
void append_string(std::string& out, std::string_view text);
/// Follows "spec.template.metadata"; null when a step is missing. An empty path leads nowhere else.
const Node* follow(const Node& object, std::string_view path);
/// Deep equality; objects are compared without regard to order, numbers by value.
bool equal(const Node& a, const Node& b);

}  // namespace estiba::json
