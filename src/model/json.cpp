#include "model/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/strings.h"
#include "model/json_arena.h"

namespace estiba::json {

std::string_view to_string(Type type) {
  switch (type) {
    case Type::null: return "null";
    case Type::boolean: return "boolean";
    case Type::number: return "number";
    case Type::string: return "string";
    case Type::array: return "array";
    case Type::object: return "object";
  }
  return "unknown";
}

// ---- reading

// "12.50e2" as an integer: the digits with the exponent applied, if nothing is left behind the point.
static std::optional<int64_t> integral(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const size_t exponent_at = text.find_first_of("eE");
  int64_t exponent = 0;
  if (exponent_at != std::string_view::npos) {
    std::string_view digits = text.substr(exponent_at + 1);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    if (error != std::errc() || exponent > 400 || exponent < -400) return std::nullopt;
    text = text.substr(0, exponent_at);
  }
  uint64_t value = 0;
  int64_t fraction = 0;
  bool behind_point = false;
  size_t kept = text.size();
  if (text.find('.') != std::string_view::npos)
    while (kept > 0 && text[kept - 1] == '0') --kept;
  for (char c : text.substr(0, kept)) {
    if (c == '.') {
      behind_point = true;
      continue;
    }
    if (__builtin_mul_overflow(value, uint64_t(10), &value) || __builtin_add_overflow(value, uint64_t(c - '0'), &value))
      return std::nullopt;
    if (behind_point) ++fraction;
  }
  for (exponent -= fraction; exponent > 0 && value; --exponent)
    if (__builtin_mul_overflow(value, uint64_t(10), &value)) return std::nullopt;
  for (; exponent < 0 && value; ++exponent) {
    if (value % 10) return std::nullopt;
    value /= 10;
  }
  if (negative) return value <= uint64_t(1) << 63 ? std::optional(int64_t(0 - value)) : std::nullopt;
  return value <= uint64_t(INT64_MAX) ? std::optional(int64_t(value)) : std::nullopt;
}

std::optional<int64_t> Node::as_int() const {
  if (!is_number()) return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
  if (error == std::errc() && end == text_.data() + text_.size()) return value;
  return integral(text_);
}

std::optional<double> Node::as_double() const {
  if (!is_number()) return std::nullopt;
  // strtod of the C locale: the program never calls setlocale.
  const std::string text(text_);
  const double value = strtod(text.c_str(), nullptr);
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

const Node* Node::find(std::string_view key) const { return const_cast<Node*>(this)->find(key); }

Node* Node::find(std::string_view key) {
  if (type_ != Type::object) return nullptr;
  for (Node* child = first_; child; child = child->next_)
    if (child->key_ == key) return child;
  return nullptr;
}

const Node& Node::operator[](uint32_t i) const { return (*const_cast<Node*>(this))[i]; }

Node& Node::operator[](uint32_t i) {
  Node* child = first_;
  while (i--) child = child->next_;
  return *child;
}

// ---- the arena

namespace {

constexpr size_t usual_chunk = 16 << 10;
#if __has_feature(address_sanitizer)
constexpr unsigned most_spare = 0;  // so that what is used after it was freed is found
#else
constexpr unsigned most_spare = 4;
#endif

// Chunks of the usual size that nobody uses. Without a destructor: documents that end after the thread's other variables find it full.
struct Spare {
  void* first = nullptr;
  unsigned count = 0;
};
thread_local constinit Spare spare;

}  // namespace

struct SpareEnd {
  ~SpareEnd() {
    while (spare.first) ::operator delete(std::exchange(spare.first, *static_cast<void**>(spare.first)));
    spare.count = most_spare;
  }
};

char* Document::Arena::grow(size_t bytes, size_t align) {
  size_t size = std::max(next_size, bytes + align) + sizeof(Chunk);
  next_size = std::min<size_t>(size * 2, 256 << 10);
  void* memory = nullptr;
  if (size <= usual_chunk) {
    size = usual_chunk;
    if ((memory = spare.first)) {
      spare.first = *static_cast<void**>(memory);
      --spare.count;
    }
  }
  if (!memory) memory = ::operator new(size);
  chunks = new (memory) Chunk{chunks, size};
  at = static_cast<char*>(memory) + sizeof(Chunk);
  end = static_cast<char*>(memory) + size;
  return allocate(bytes, align);
}

Document::Arena::~Arena() {
  thread_local const SpareEnd at_thread_end;
  while (chunks) {
    Chunk* chunk = std::exchange(chunks, chunks->next);
    if (chunk->size != usual_chunk || spare.count >= most_spare) {
      ::operator delete(chunk);
      continue;
    }
    spare.first = new (chunk) void*(spare.first);
    ++spare.count;
  }
}

std::string_view Document::Arena::keep(std::string_view text) {
  if (text.empty()) return {};
  char* copy = allocate(text.size(), 1);
  memcpy(copy, text.data(), text.size());
  return {copy, text.size()};
}

Document::Document() : arena_(std::make_unique<Arena>()) { root_ = arena_->node(); }
Document::Document(std::nullptr_t) {}
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;

// ---- making

Node& Document::make_null() { return *arena_->node(); }

Node& Document::make_bool(bool value) {
  Node& node = *arena_->node();
  node.type_ = Type::boolean;
  node.flag_ = value;
  return node;
}

Node& Document::make_number(std::string_view literal) {
  Node& node = *arena_->node();
  node.type_ = Type::number;
  node.text_ = arena_->keep(literal);
  return node;
}

Node& Document::make_int(int64_t value) {
  char text[24];
  const auto [end, _] = std::to_chars(text, text + sizeof text, value);
  return make_number({text, size_t(end - text)});
}

Node& Document::make_double(double value) {
  if (!std::isfinite(value)) return make_null();
  // As Go prints: plain digits unless the exponent is below -6 or above 20.
  const double size = std::fabs(value);
  const bool plain = size == 0 || (size >= 1e-6 && size < 1e21);
  char text[64];
  const auto [end, _] = std::to_chars(text, text + sizeof text, value, plain ? std::chars_format::fixed : std::chars_format::scientific);
  return make_number({text, size_t(end - text)});
}

Node& Document::make_string(std::string_view text) {
  Node& node = *arena_->node();
  node.type_ = Type::string;
  node.text_ = arena_->keep(text);
  return node;
}

Node& Document::make_array() {
  Node& node = *arena_->node();
  node.type_ = Type::array;
  return node;
}

Node& Document::make_object() {
  Node& node = *arena_->node();
  node.type_ = Type::object;
  return node;
}

Node& Document::copy(const Node& node) {
  Node& out = *arena_->node();
  out.type_ = node.type_;
  out.flag_ = node.flag_;
  out.text_ = arena_->keep(node.text_);
  for (const Node& child : node) {
    Node& made = copy(child);
    made.key_ = arena_->keep(child.key_);
    if (out.last_) out.last_->next_ = &made;
    else out.first_ = &made;
    out.last_ = &made;
    ++out.size_;
  }
  return out;
}

// ---- changing

Node& Document::set(Node& object, std::string_view key, Node& value) {
  if (object.type_ != Type::object) {
    clear(object);
    object.type_ = Type::object;
  }
  Node* before = nullptr;
  for (Node* child = object.first_; child; before = child, child = child->next_) {
    if (child->key_ != key) continue;
    if (child == &value) return value;
    value.key_ = child->key_;
    value.next_ = child->next_;
    if (before) before->next_ = &value;
    else object.first_ = &value;
    if (object.last_ == child) object.last_ = &value;
    return value;
  }
  return add(object, key, value);
}

Node& Document::add(Node& object, std::string_view key, Node& value) {
  value.key_ = arena_->keep(key);
  return append(object, value);
}

Node& Document::ensure_object(Node& object, std::string_view key) {
  Node* child = object.find(key);
  if (child && !child->is_null()) return *child;
  return set(object, key, make_object());
}

Node& Document::append(Node& array, Node& value) {
  if (array.type_ < Type::array) {
    clear(array);
    array.type_ = Type::array;
  }
  value.next_ = nullptr;
  if (array.last_) array.last_->next_ = &value;
  else array.first_ = &value;
  array.last_ = &value;
  ++array.size_;
  return value;
}

Node& Document::insert(Node& array, uint32_t i, Node& value) {
  if (i >= array.size_) return append(array, value);
  if (i == 0) {
    value.next_ = array.first_;
    array.first_ = &value;
  } else {
    Node& before = array[i - 1];
    value.next_ = before.next_;
    before.next_ = &value;
  }
  ++array.size_;
  return value;
}

void Document::unlink(Node& container, Node* before, Node* child) {
  if (before) before->next_ = child->next_;
  else container.first_ = child->next_;
  if (container.last_ == child) container.last_ = before;
  --container.size_;
  child->next_ = nullptr;
}

bool Document::remove(Node& object, std::string_view key) {
  if (!object.is_object()) return false;
  Node* before = nullptr;
  for (Node* child = object.first_; child; before = child, child = child->next_) {
    if (child->key_ != key) continue;
    unlink(object, before, child);
    return true;
  }
  return false;
}

void Document::remove(Node& array, uint32_t i) {
  Node* before = i ? &array[i - 1] : nullptr;
  unlink(array, before, before ? before->next_ : array.first_);
}

void Document::clear(Node& container) {
  container.first_ = container.last_ = nullptr;
  container.size_ = 0;
}

void Document::assign(Node& target, const Node& value) {
  const Node& made = copy(value);  // first: `value` may be inside `target`
  target.type_ = made.type_;
  target.flag_ = made.flag_;
  target.text_ = made.text_;
  target.first_ = made.first_;
  target.last_ = made.last_;
  target.size_ = made.size_;
}

// ---- comparing

static bool equal_numbers(const Node& a, const Node& b) {
  if (a.number_text() == b.number_text()) return true;
  const auto x = a.as_int(), y = b.as_int();
  if (x || y) return x == y;
  return a.as_double() == b.as_double();
}

static bool equal_objects(const Node& a, const Node& b) {
  auto guess = b.begin();  // the same order is the common case
  for (const Node& child : a) {
    const Node* other = guess != b.end() && guess->key() == child.key() ? &*guess : b.find(child.key());
    if (!other || !equal(child, *other)) return false;
    if (guess != b.end()) ++guess;
  }
  return true;
}

const Node* follow(const Node& object, std::string_view path) {
  const Node* node = &object;
  while (node && !path.empty()) {
    const auto [first, rest] = split_once(path, '.');
    node = node->find(first);
    path = rest.value_or(std::string_view{});
  }
  return node;
}

bool equal(const Node& a, const Node& b) {
  if (a.type() != b.type() || a.size() != b.size()) return false;
  switch (a.type()) {
    case Type::null: return true;
    case Type::boolean: return a.as_bool() == b.as_bool();
    case Type::number: return equal_numbers(a, b);
    case Type::string: return a.as_string() == b.as_string();
    case Type::object: return equal_objects(a, b);
    case Type::array: break;
  }
  auto other = b.begin();
  for (const Node& child : a) {
    if (!equal(child, *other)) return false;
    ++other;
  }
  return true;
}

}  // namespace estiba::json
