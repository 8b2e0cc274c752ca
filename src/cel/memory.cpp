#include "cel/memory.h"

#include <algorithm>

#include "base/strings.h"
#include "cel/compare.h"
#include "cel/escape.h"

namespace estiba::cel {

// Arrays and objects up to this many parts are searched, longer ones get an index.
static constexpr uint32_t few = 16;

void Memory::reset() {
  arena_.reset();
  work_ = 0;
  exhausted_ = false;
  indexes_.clear();
}

ListBuffer* Memory::new_list(uint32_t capacity) {
  auto* buffer = arena_.make<ListBuffer>();
  buffer->items = capacity ? arena_.array<Value>(capacity) : nullptr;
  buffer->capacity = capacity;
  return buffer;
}

Value Memory::list(const std::vector<Value>& items) {
  if (!admit(items.size() * sizeof(Value))) return over_limit();
  ListBuffer* buffer = new_list(uint32_t(items.size()));
  std::copy(items.begin(), items.end(), buffer->items);
  buffer->used = uint32_t(items.size());
  return Value::list(buffer, buffer->used);
}

Value Memory::append(const Value& list, const Value& item) {
  ListBuffer* buffer = list.is_json() ? nullptr : list.list_buffer();
  const uint32_t size = list.count();
  if (!buffer || buffer->used != size || buffer->used == buffer->capacity) {
    const uint32_t capacity = std::max<uint32_t>(8, size * 2);
    if (!admit(capacity * sizeof(Value)) || !spend(size)) return over_limit();
    ListBuffer* bigger = new_list(capacity);
    for (Items items(*this, list); !items.done();) bigger->items[bigger->used++] = items.next();
    buffer = bigger;
  }
  buffer->items[buffer->used++] = item;
  return Value::list(buffer, buffer->used);
}

Value Memory::concat(const Value& a, const Value& b) {
  if (b.count() == 0) return a;
  if (!spend(b.count())) return over_limit();
  Value sum = a;
  // The right side may be a prefix of the very buffer that grows, so its length is taken first.
  for (Items items(*this, b); !items.done() && !sum.is_error();) sum = append(sum, items.next());
  return sum;
}

uint32_t* Memory::slot(MapBuffer& buffer, const Value& key, uint32_t size) {
  if (buffer.slot_count == 0) return nullptr;
  const uint32_t mask = buffer.slot_count - 1;
  for (uint32_t at = uint32_t(hash_key(key) >> 7) & mask;; at = (at + 1) & mask) {
    uint32_t& slot = buffer.slots[at];
    // Entries behind `size` belong to newer maps that share the buffer.
    if (slot == 0 || (slot <= size && equal(*this, buffer.keys[slot - 1], key))) return &slot;
    if (exhausted_) return &slot;
  }
}

bool Memory::rehash(MapBuffer& buffer) {
  const uint32_t count = std::max<uint32_t>(16, buffer.slot_count * 2);
  if (!admit(count * sizeof(uint32_t)) || !spend(count)) return false;
  buffer.slots = arena_.array<uint32_t>(count);
  buffer.slot_count = count;
  const uint32_t mask = count - 1;
  for (uint32_t i = 0; i < buffer.used; i++) {
    uint32_t at = uint32_t(hash_key(buffer.keys[i]) >> 7) & mask;
    while (buffer.slots[at]) at = (at + 1) & mask;
    buffer.slots[at] = i + 1;
  }
  return true;
}

Value Memory::insert(const Value& map, const Value& key, const Value& value) {
  const uint32_t size = map.count();
  MapBuffer* buffer = map.is_json() ? nullptr : map.map_buffer();
  if (!buffer || buffer->used != size || buffer->used == buffer->capacity) {
    const uint32_t capacity = std::max<uint32_t>(8, size * 2);
    if (!admit(capacity * 2 * sizeof(Value)) || !spend(size)) return over_limit();
    auto* bigger = arena_.make<MapBuffer>();
    bigger->keys = arena_.array<Value>(capacity);
    bigger->values = arena_.array<Value>(capacity);
    bigger->capacity = capacity;
    for (Items items(*this, map); !items.done(); bigger->used++) bigger->keys[bigger->used] = items.next(&bigger->values[bigger->used]);
    buffer = bigger;
    buffer->slot_count = capacity;
    if (!rehash(*buffer)) return over_limit();
  }
  buffer->keys[buffer->used] = key;
  buffer->values[buffer->used++] = value;
  if (buffer->used * 2 > buffer->slot_count) {
    if (!rehash(*buffer)) return over_limit();
  } else {
    const uint32_t mask = buffer->slot_count - 1;
    uint32_t at = uint32_t(hash_key(key) >> 7) & mask;
    while (buffer->slots[at]) at = (at + 1) & mask;
    buffer->slots[at] = buffer->used;
  }
  return Value::map(buffer, buffer->used);
}

Memory::Index& Memory::index(const json::Node& node) {
  auto [at, made] = indexes_.try_emplace(&node);
  Index& index = at->second;
  if (made) {
    spend(node.size());
    if (node.is_array()) {
      index.items.reserve(node.size());
      for (const json::Node& item : node) index.items.push_back(&item);
    } else {
      index.keys.reserve(node.size());
      for (const json::Node& item : node) index.keys.insert_or_assign(item.key(), &item);
      for (const json::Node& item : node) index.items.push_back(&item);
    }
  }
  return index;
}

const json::Node* Memory::child(const json::Node& node, uint32_t i) { return node.size() <= few ? &node[i] : index(node).items[i]; }

const json::Node* Memory::member(const json::Node& node, std::string_view key) {
  if (node.size() <= few) return node.find(key);
  const Index& all = index(node);
  const auto at = all.keys.find(key);
  return at == all.keys.end() ? nullptr : at->second;
}

static Value decoded(Memory& memory, const Value& value) {
  auto bytes = base64_decode(value.text());
  return bytes ? memory.bytes(*bytes) : memory.error("Invalid byte formatted string " + std::string(value.text()));
}

Value Memory::read_json(const json::Node& node, const DeclType* decl) {
  const Value value = Value::json(node, decl);
  return value.is(Kind::bytes) ? decoded(*this, value) : value;
}

Value Memory::item(const Value& list, uint32_t i) {
  if (!list.is_json()) return list.list_buffer()->items[i];
  return read_json(*child(list.node(), i), list.decl() ? list.decl()->element : nullptr);
}

Value Memory::member_value(const Value& map, const json::Node& node) {
  const DeclType* decl = map.decl();
  if (!decl) return read_json(node, nullptr);
  if (decl->form == DeclForm::map) return read_json(node, decl->element);
  const auto name = escape(node.key());
  const DeclField* field = name ? decl->find(*name) : nullptr;
  return read_json(node, field ? field->type : nullptr);
}

std::optional<Value> Memory::find(const Value& map, std::string_view key) {
  if (!map.is_json()) return find(map, Value::string(key));
  const DeclType* decl = map.decl();
  if (!decl || decl->form != DeclForm::object) {
    const json::Node* node = member(map.node(), key);
    return node ? std::optional(read_json(*node, decl ? decl->element : nullptr)) : std::nullopt;
  }
  const DeclField* field = decl->find(key);
  const json::Node* node = field ? member(map.node(), field->json_name) : nullptr;
  // A field that is null is absent, whatever its schema allows.
  return node && !node->is_null() ? std::optional(read_json(*node, field->type)) : std::nullopt;
}

std::optional<Value> Memory::find(const Value& map, const Value& key) {
  if (map.is_json()) return key.is(Kind::string) ? find(map, key.text()) : std::nullopt;
  MapBuffer& buffer = *map.map_buffer();
  const uint32_t* found = slot(buffer, key, map.count());
  return found && *found && *found <= map.count() ? std::optional(buffer.values[*found - 1]) : std::nullopt;
}

Value Memory::key_at(const Value& map, uint32_t i) {
  return map.is_json() ? Value::string(child(map.node(), i)->key()) : map.map_buffer()->keys[i];
}

Value Memory::value_at(const Value& map, uint32_t i) {
  return map.is_json() ? member_value(map, *child(map.node(), i)) : map.map_buffer()->values[i];
}

Value Items::next(Value* value) {
  const uint32_t i = at_++;
  if (!container_.is_json()) {
    if (container_.is(Kind::list)) return container_.list_buffer()->items[i];
    if (value) *value = container_.map_buffer()->values[i];
    return container_.map_buffer()->keys[i];
  }
  const json::Node& node = *node_;
  ++node_;
  if (container_.is(Kind::list)) return memory_.read_json(node, container_.decl() ? container_.decl()->element : nullptr);
  if (value) *value = memory_.member_value(container_, node);
  return Value::string(node.key());
}

}  // namespace estiba::cel
