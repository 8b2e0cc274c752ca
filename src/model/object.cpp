#include "model/object.h"

#include <algorithm>
#include <charconv>

#include "base/strings.h"
#include "model/json_skim.h"
#include "model/struct_memory.h"

namespace estiba::model {

using json::Node;

// Objects are printed into a buffer of the thread that is kept up to this size.
constexpr size_t kept_scratch = 64 << 10;

static std::string_view value_of(const Labels& labels, std::string_view key) {
  const auto it = std::ranges::lower_bound(labels, key, {}, &Labels::value_type::first);
  return it != labels.end() && it->first == key ? std::string_view(it->second) : std::string_view{};
}

std::string_view Meta::label(std::string_view key) const { return value_of(labels, key); }
std::string_view Meta::annotation(std::string_view key) const { return value_of(annotations, key); }

const Owner* Meta::controller() const {
  const auto it = std::ranges::find_if(owners, &Owner::controller);
  return it != owners.end() ? &*it : nullptr;
}

namespace {

std::unexpected<Error> wrong(std::string_view field, std::string_view expected, const Node& node) {
  std::string message(field);
  message += ": expected ";
  message += expected;
  message += ", got ";
  message += json::to_string(node.type());
  return fail(Code::malformed, std::move(message));
}

Result<void> read_string(std::string& out, const Node& parent, std::string_view key, std::string_view field) {
  const Node* node = parent.find(key);
  if (!node || node->is_null()) return {};
  if (!node->is_string()) return wrong(std::string(field) + std::string(key), "a string", *node);
  out = node->as_string();
  return {};
}

Result<void> read_int(int64_t& out, const Node& metadata, std::string_view key) {
  const Node* node = metadata.find(key);
  if (!node || node->is_null()) return {};
  const auto value = node->as_int();
  if (!value) return wrong("metadata." + std::string(key), "an integer", *node);
  out = *value;
  return {};
}

Result<void> read_labels(Labels& out, const Node& metadata, std::string_view key) {
  const Node* node = metadata.find(key);
  if (!node || node->is_null()) return {};
  const std::string field = "metadata." + std::string(key);
  if (!node->is_object()) return wrong(field, "an object", *node);
  out.reserve(node->size());
  for (const Node& member : *node) {
    if (!member.is_string() && !member.is_null()) return wrong(field + "[" + std::string(member.key()) + "]", "a string", member);
    out.emplace_back(member.key(), member.as_string());
  }
  std::ranges::sort(out);
  return {};
}

void take_last_applied(Meta& meta) {
  const auto it = std::ranges::find(meta.annotations, last_applied_annotation, &Labels::value_type::first);
  if (it == meta.annotations.end()) return;
  meta.last_applied = fnv1a64(it->second);
  meta.annotations.erase(it);
}

Result<void> read_owners(std::vector<Owner>& out, const Node& metadata) {
  const Node* list = metadata.find("ownerReferences");
  if (!list || list->is_null()) return {};
  if (!list->is_array()) return wrong("metadata.ownerReferences", "an array", *list);
  for (const Node& node : *list) {
    if (!node.is_object()) return wrong("metadata.ownerReferences", "an array of objects", node);
    Owner& owner = out.emplace_back();
    const std::string_view field = "metadata.ownerReferences.";
    TRY(read_string(owner.api_version, node, "apiVersion", field));
    TRY(read_string(owner.kind, node, "kind", field));
    TRY(read_string(owner.name, node, "name", field));
    TRY(read_string(owner.uid, node, "uid", field));
    if (const Node* flag = node.find("controller")) owner.controller = flag->as_bool();
    if (const Node* flag = node.find("blockOwnerDeletion")) owner.block_owner_deletion = flag->as_bool();
  }
  return {};
}

Result<void> read_finalizers(std::vector<std::string>& out, const Node& metadata) {
  const Node* list = metadata.find("finalizers");
  if (!list || list->is_null()) return {};
  if (!list->is_array()) return wrong("metadata.finalizers", "an array", *list);
  for (const Node& node : *list) {
    if (!node.is_string()) return wrong("metadata.finalizers", "an array of strings", node);
    out.emplace_back(node.as_string());
  }
  return {};
}

Result<void> read_meta(Meta& meta, const Node& root, const Node* metadata) {
  TRY(read_string(meta.api_version, root, "apiVersion", ""));
  TRY(read_string(meta.kind, root, "kind", ""));
  if (!metadata) return {};
  const std::string_view field = "metadata.";
  TRY(read_string(meta.ns, *metadata, "namespace", field));
  TRY(read_string(meta.name, *metadata, "name", field));
  TRY(read_string(meta.uid, *metadata, "uid", field));
  TRY(read_string(meta.generate_name, *metadata, "generateName", field));
  TRY(read_string(meta.creation_timestamp, *metadata, "creationTimestamp", field));
  TRY(read_string(meta.deletion_timestamp, *metadata, "deletionTimestamp", field));
  TRY(read_int(meta.generation, *metadata, "generation"));
  TRY(read_int(meta.deletion_grace_seconds, *metadata, "deletionGracePeriodSeconds"));
  TRY(read_labels(meta.labels, *metadata, "labels"));
  TRY(read_labels(meta.annotations, *metadata, "annotations"));
  take_last_applied(meta);
  TRY(read_owners(meta.owners, *metadata));
  return read_finalizers(meta.finalizers, *metadata);
}

struct MetadataPlace {
  uint32_t begin = 0;  // behind the brace
  uint32_t end = 0;    // likewise
};

// Prints the object without resourceVersion; returns where metadata stands.
MetadataPlace print_without_revision(std::string& out, const Node& root) {
  MetadataPlace place;
  const auto comma = [&] {
    if (out.back() != '{') out += ',';
  };
  const auto members = [&](const Node& metadata) {
    out += "\"metadata\":{";
    place.begin = uint32_t(out.size());
    for (const Node& member : metadata) {
      if (member.key() == "resourceVersion") continue;
      comma();
      json::append_string(out, member.key());
      out += ':';
      json::print_to(out, member);
    }
    out += '}';
    place.end = uint32_t(out.size());
  };
  out += '{';
  for (const Node& member : root) {
    comma();
    if (member.key() == "metadata") {
      members(member);
      continue;
    }
    json::append_string(out, member.key());
    out += ':';
    json::print_to(out, member);
  }
  if (!place.begin) {
    comma();
    out += "\"metadata\":{}";
    place = {uint32_t(out.size() - 1), uint32_t(out.size())};
  }
  out += '}';
  return place;
}

}  // namespace

Result<ObjectPtr> Object::make(const Node& root, const SharedText& stored) {
  if (!root.is_object()) return wrong("the body", "an object", root);
  const Node* metadata = root.find("metadata");
  if (metadata && metadata->is_null()) metadata = nullptr;
  if (metadata && !metadata->is_object()) return wrong("metadata", "an object", *metadata);
  std::shared_ptr<Object> object(new Object());
  TRY(read_meta(object->meta_, root, metadata));
  thread_local std::string text;
  text.clear();
  const MetadataPlace place = print_without_revision(text, root);
  object->rv_at_ = place.begin;
  object->metadata_end_ = place.end;
  object->json_ = stored == text ? stored : SharedText(text);
  if (text.capacity() > kept_scratch) std::string().swap(text);
  return object;
}

Result<ObjectPtr> Object::parse(std::string_view text) {
  const json::Document document = TRY(json::Document::parse(text));
  return make(document.root());
}

static std::atomic<int64_t> decoded_structs{0};

int64_t Object::decoded() { return decoded_structs.load(std::memory_order_relaxed); }

void Object::destroy(const Typed& typed) {
  if (typed.layout) {
    free_struct(*typed.layout, typed.value);
    decoded_structs.fetch_sub(1, std::memory_order_relaxed);
  } else {
    delete static_cast<ObjectPtr*>(typed.value);
  }
}

Object::~Object() {
  for (Typed* typed = typed_.load(); typed;) {
    destroy(*typed);
    delete std::exchange(typed, typed->next);
  }
}

// Revision 0 is that of what is not stored: it has none.
void Object::print_revision_to(std::string& out, int64_t revision) const {
  if (revision == 0) return;
  char number[24];
  const auto [end, _] = std::to_chars(number, number + sizeof number, revision);
  out += "\"resourceVersion\":\"";
  out.append(number, end);
  out += std::string_view(json_)[rv_at_] == '}' ? "\"" : "\",";
}

void Object::print_to(std::string& out, int64_t revision) const {
  if (out.empty()) out.reserve(json_.size() + 48);
  const std::string_view json = json_;
  out.append(json.substr(0, rv_at_));
  print_revision_to(out, revision);
  out.append(json.substr(rv_at_));
}

void Object::print_metadata_to(std::string& out, int64_t revision) const {
  out += '{';
  print_revision_to(out, revision);
  out.append(std::string_view(json_).substr(rv_at_, metadata_end_ - rv_at_));
}

// Adds to the list, unless another thread has added one of that layout meanwhile: then that one's value.
void* Object::keep(const codec::Struct* layout, void* value, Typed* head) const {
  auto* mine = new Typed{layout, value, head};
  while (!typed_.compare_exchange_weak(mine->next, mine, std::memory_order_acq_rel, std::memory_order_acquire)) {
    for (Typed* other = mine->next; other; other = other->next) {
      if (other->layout != layout) continue;
      destroy(*mine);
      delete mine;
      return other->value;
    }
  }
  return value;
}

const void* Object::typed(const codec::Struct& layout) const {
  Typed* head = typed_.load(std::memory_order_acquire);
  for (Typed* typed = head; typed; typed = typed->next)
    if (typed->layout == &layout) return typed->value;
  // The stored text was printed by us: it parses, and what does not fit is left out.
  static constexpr std::string_view of_the_server[] = {"managedFields"};  // as long as all the rest
  const auto document = json::parse_without(json_, "metadata", of_the_server);
  void* value = make_struct(layout, document ? &document->root() : nullptr);
  decoded_structs.fetch_add(1, std::memory_order_relaxed);
  return keep(&layout, value, head);
}

ObjectPtr Object::lighter(const ObjectPtr& object) {
  Typed* head = object->typed_.load(std::memory_order_acquire);
  if (!head) return object;
  for (Typed* typed = head; typed; typed = typed->next)
    if (!typed->layout) return *static_cast<ObjectPtr*>(typed->value);
  return *static_cast<ObjectPtr*>(object->keep(nullptr, new ObjectPtr(new Object(*object)), head));
}

std::string ObjectRef::print() const {
  std::string out;
  object->print_to(out, revision);
  return out;
}

}  // namespace estiba::model
