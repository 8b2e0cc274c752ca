#include "model/typed.h"

#include <unordered_set>

#include "base/strings.h"
#include "model/typed_place.h"

namespace estiba::model {

using json::Node;
using schema::Field;
using schema::Kind;
using schema::Type;

// ---- what is wrong with a configuration

namespace {

class Checker {
 public:
  void value(const Node& node, const Place& place, const std::string& path) {
    if (node.is_null()) return;
    switch (place.form) {
      case Place::Form::untyped:
      case Place::Form::deduced: return;
      case Place::Form::scalar: return scalar(node, place, path);
      case Place::Form::list: return list(node, place, path);
      case Place::Form::message:
      case Place::Form::map: return map(node, place, path);
    }
  }

  std::vector<std::string> problems;

 private:
  void wrong(const std::string& path, std::string what) { problems.push_back(path + ": " + std::move(what)); }

  static std::string_view go_type(const Node& node) {
    switch (node.type()) {
      case json::Type::boolean: return "bool";
      case json::Type::number: return node.as_int() ? "int64" : "float64";
      case json::Type::string: return "string";
      case json::Type::array: return "[]interface {}";
      case json::Type::object: return "map[string]interface {}";
      case json::Type::null: break;
    }
    return "nil";
  }

  void scalar(const Node& node, const Place& place, const std::string& path) {
    const bool is_scalar = node.type() < json::Type::array;
    if (!place.field || place.field->kind == Kind::special) {
      if (!is_scalar) wrong(path, "expected any scalar, got " + json::print(node));
      return;
    }
    switch (place.field->kind) {
      case Kind::string:
      case Kind::bytes:
        if (!node.is_string()) wrong(path, "expected string, got &value.valueUnstructured{Value:" + json::print(node) + "}");
        return;
      case Kind::boolean:
        if (!node.is_bool()) wrong(path, "expected boolean, got " + json::print(node));
        return;
      default:
        if (!node.is_number()) wrong(path, "expected numeric (int or float), got " + std::string(go_type(node)));
    }
  }

  void list(const Node& node, const Place& place, const std::string& path) {
    if (!node.is_array()) return wrong(path, "expected list, got " + json::print(node));
    const Place element = element_place(place);
    std::unordered_set<std::string_view> seen;
    size_t i = 0;
    for (const Node& child : node) {
      std::string step = "[" + std::to_string(i) + "]";
      if (!place.atomic) {
        const auto made = element_step(pool_, place, child);
        if (!made) return wrong(path, "element " + std::to_string(i) + ": " + made.error().message);
        step = to_string(FieldPath{*made});
        if (!seen.insert(made->text).second) wrong(path, "duplicate entries for key " + step);
      }
      value(child, element, path + step);
      ++i;
    }
  }

  void map(const Node& node, const Place& place, const std::string& path) {
    if (!node.is_object()) return wrong(path, "expected map, got " + json::print(node));
    MemberPlaces places(place);
    for (const Node& member : node) {
      Place there;
      const std::string step = path + "." + std::string(member.key());
      if (!places.find(member.key(), there)) return wrong(step, "field not declared in schema");
      value(member, there, step);
    }
  }

  FieldPool pool_;
};

}  // namespace

std::vector<std::string> check_typed(const Node& object, const Type& type) {
  Checker checker;
  checker.value(object, place_of(type), "");
  return std::move(checker.problems);
}

// ---- the fields of an object

namespace {

class Fields {
 public:
  explicit Fields(FieldPool& pool) : pool_(pool) {}

  // What is below the value; `self`: the value is a leaf.
  FieldSet value(const Node& node, const Place& place, bool& self) {
    self = false;
    if (place.is_list()) {
      self = place.atomic;
      return self || !node.is_array() ? nullptr : elements(node, place);
    }
    if (place.is_map(&node)) {
      self = place.atomic;
      return self || !node.is_object() ? nullptr : members(node, place);
    }
    self = true;
    return nullptr;
  }

 private:
  FieldSet elements(const Node& list, const Place& place) {
    const Place element = element_place(place);
    FieldLevel level(pool_, scratch_);
    std::unordered_set<std::string_view> seen, twice;
    for (const Node& child : list) {
      const auto step = element_step(pool_, place, child);
      if (step && !seen.insert(step->text).second) twice.insert(step->text);
    }
    for (const Node& child : list) {
      const auto step = element_step(pool_, place, child);
      if (!step) continue;
      if (twice.contains(step->text)) {
        // Elements of one key are one leaf together.
        if (seen.erase(step->text)) level.add(*step, true, nullptr);
        continue;
      }
      bool self;
      const FieldSet below = value(child, element, self);
      level.add(*step, true, below);
    }
    return level.take();
  }

  FieldSet members(const Node& object, const Place& place) {
    FieldLevel level(pool_, scratch_);
    MemberPlaces places(place);
    for (const Node& member : object) {
      Place there;
      bool declared = false;
      if (!places.find(member.key(), there, &declared)) continue;
      bool self;
      const FieldSet below = value(member, there, self);
      const bool bare = member.is_null() || (member.is_object() && member.empty());
      level.add({FieldStep::Kind::field, member.key()}, self || bare || !declared, below);
    }
    return level.take();
  }

  FieldPool& pool_;
  std::vector<FieldNode*> scratch_;
};

}  // namespace

FieldSet fields_of(FieldPool& pool, const Node& object, const Type& type) {
  bool self;
  return Fields(pool).value(object, place_of(type), self);
}

// ---- sets by the tables

namespace {

// The place of a step, or false when the tables know none.
bool step_place(MemberPlaces& places, const Place& place, const FieldStep& step, Place& out, bool& declared) {
  declared = false;
  if (step.kind == FieldStep::Kind::field) return !place.is_list() && places.find(step.text, out, &declared);
  if (!place.is_list()) return false;
  out = element_place(place);
  return true;
}

// Rebuilds a set where `change` makes other nodes; what stays is shared.
template <class Change>
FieldSet rebuilt(FieldPool& pool, FieldSet set, const Place& place, const Change& change) {
  MemberPlaces places(place);
  std::vector<FieldNode> nodes;
  bool changed = false;
  for (FieldSet node = set; node; node = node->next) {
    FieldNode made = *node;
    Place there;
    bool declared = false;
    if (node->children && step_place(places, place, node->step, there, declared)) change(made, there, declared);
    changed |= made.member != node->member || made.children != node->children;
    nodes.push_back(made);
  }
  if (!changed) return set;
  FieldSet out = nullptr;
  for (size_t i = nodes.size(); i-- > 0;) {
    FieldNode& node = pool.node(nodes[i].step, nodes[i].member, nodes[i].children);
    node.next = out;
    out = &node;
  }
  return out;
}

FieldSet named(FieldPool& pool, FieldSet set, const Place& place) {
  return rebuilt(pool, set, place, [&](FieldNode& node, const Place& there, bool declared) {
    node.member |= declared;
    node.children = named(pool, node.children, there);
  });
}

FieldSet atomic(FieldPool& pool, FieldSet set, const Place& place) {
  return rebuilt(pool, set, place, [&](FieldNode& node, const Place& there, bool) {
    const bool leaf =
        there.atomic && (there.form == Place::Form::list || there.form == Place::Form::message || there.form == Place::Form::map);
    if (leaf) node.member = true;
    node.children = leaf ? nullptr : atomic(pool, node.children, there);
  });
}

}  // namespace

FieldSet with_named_fields(FieldPool& pool, FieldSet set, const Type& type) { return named(pool, set, place_of(type)); }
FieldSet with_atomic_fields(FieldPool& pool, FieldSet set, const Type& type) { return atomic(pool, set, place_of(type)); }

}  // namespace estiba::model
