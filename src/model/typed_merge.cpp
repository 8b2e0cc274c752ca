#include <unordered_map>

#include "model/typed.h"
#include "model/typed_place.h"

namespace estiba::model {

using json::Document;
using json::Node;
using schema::Type;

namespace {

class Merger {
 public:
  Merger(FieldPool& pool, Document& document) : pool_(pool), document_(document) {}

  void value(Node& live, const Node& applied, const Place& place) {
    const bool map = place.is_map(&applied) && !(place.form == Place::Form::deduced && !live.is_object());
    const bool inside = (map || place.is_list()) && !place.atomic;
    // A null changes a leaf; of what has members it says nothing.
    if (inside && applied.is_null() && live.type() >= json::Type::array && !live.empty()) return;
    if (!inside || applied.type() < json::Type::array || live.type() != applied.type() || live.empty()) {
      document_.assign(live, applied);
      return;
    }
    if (applied.empty()) return;
    if (map) members(live, applied, place);
    else elements(live, applied, place);
  }

 private:
  void members(Node& live, const Node& applied, const Place& place) {
    MemberPlaces places(place);
    for (const Node& member : applied) {
      Place there;
      if (!places.find(member.key(), there)) continue;
      if (Node* old = live.find(member.key())) value(*old, member, there);
      else document_.add(live, member.key(), document_.copy(member));
    }
  }

  struct Element {
    FieldStep step;
    Node* node;
  };
  struct Seen {
    Node* live = nullptr;  // null also for one of several of a key: those are not merged
    bool in_live = false;
    bool merged = false;
    const Node* applied = nullptr;
  };

  // The order of structured-merge-diff: what only the object has keeps its place before the next element that both have;
  // the others come in the configuration's order.
  void elements(Node& live, const Node& applied, const Place& place) {
    std::unordered_map<std::string_view, Seen> by_key;
    std::vector<Element> old;
    for (Node& node : live) {
      const auto step = element_step(pool_, place, node);
      if (!step) continue;
      old.push_back({*step, &node});
      Seen& seen = by_key[step->text];
      seen.live = seen.in_live ? nullptr : &node;
      seen.in_live = true;
    }
    std::vector<std::pair<FieldStep, const Node*>> fresh;
    std::vector<std::string_view> shared;
    for (const Node& node : applied) {
      const auto step = element_step(pool_, place, node);
      if (!step) continue;
      fresh.emplace_back(*step, &node);
      Seen& seen = by_key[step->text];
      seen.applied = &node;
      if (seen.in_live) shared.push_back(step->text);
    }
    document_.clear(live);
    order(live, old, fresh, shared, by_key, element_place(place));
  }

  void order(Node& out, const std::vector<Element>& old, const std::vector<std::pair<FieldStep, const Node*>>& fresh,
             const std::vector<std::string_view>& shared, std::unordered_map<std::string_view, Seen>& by_key, const Place& element) {
    size_t l = 0, r = 0, next_shared = 0;
    while (l < old.size() || r < fresh.size()) {
      if (l < old.size() && r < fresh.size()) {
        const std::string_view key = old[l].step.text;
        if (key == fresh[r].first.text) {
          take(out, by_key[key], *fresh[r].second, element);
          ++l, ++r, ++next_shared;
          continue;
        }
        if (by_key[key].applied && next_shared < shared.size() && shared[next_shared] != key) {
          ++l;  // both have it, but it is not its turn
          continue;
        }
      }
      if (l < old.size()) {
        const Seen& seen = by_key[old[l].step.text];
        if (!seen.applied) {
          document_.append(out, *old[l++].node);
          continue;
        }
        if (seen.merged) ++l;
      }
      if (r < fresh.size()) {
        const std::string_view key = fresh[r].first.text;
        take(out, by_key[key], *fresh[r].second, element);
        ++r;
        if (next_shared < shared.size() && shared[next_shared] == key) ++next_shared;
      }
    }
  }

  void take(Node& out, Seen& seen, const Node& applied, const Place& element) {
    Node& node = seen.live && !seen.merged ? *seen.live : document_.copy(applied);
    if (seen.live && !seen.merged) value(node, applied, element);
    seen.merged = true;
    document_.append(out, node);
  }

  FieldPool& pool_;
  Document& document_;
};

class Remover {
 public:
  Remover(FieldPool& pool, Document& document) : pool_(pool), document_(document) {}

  void value(Node& node, FieldSet fields, const Place& place) {
    if (!fields || place.atomic) return;
    if (place.is_list() && node.is_array()) elements(node, fields, place);
    else if (place.is_map(&node) && node.is_object()) members(node, fields, place);
  }

 private:
  void members(Node& object, FieldSet fields, const Place& place) {
    MemberPlaces places(place);
    for (FieldSet field = fields; field; field = field->next) {
      if (field->step.kind != FieldStep::Kind::field) continue;
      Node* member = object.find(field->step.text);
      if (!member) continue;
      Place there;
      if (field->member) document_.remove(object, field->step.text);
      else if (places.find(field->step.text, there)) value(*member, field->children, there);
    }
  }

  void elements(Node& list, FieldSet fields, const Place& place) {
    std::unordered_map<std::string_view, FieldSet> by_key;
    for (FieldSet field = fields; field; field = field->next) by_key.emplace(field->step.text, field);
    std::vector<Node*> all;
    for (Node& node : list) all.push_back(&node);
    document_.clear(list);
    const Place element = element_place(place);
    for (Node* node : all) {
      const auto step = element_step(pool_, place, *node);
      const auto it = step ? by_key.find(step->text) : by_key.end();
      if (it != by_key.end() && it->second->member) continue;
      if (it != by_key.end()) value(*node, it->second->children, element);
      document_.append(list, *node);
    }
  }

  FieldPool& pool_;
  Document& document_;
};

}  // namespace

void merge_typed(FieldPool& pool, Document& document, Node& object, const Node& configuration, const Type& type) {
  Merger(pool, document).value(object, configuration, place_of(type));
}

void remove_fields(FieldPool& pool, Document& document, Node& object, FieldSet fields, const Type& type) {
  Remover(pool, document).value(object, fields, place_of(type));
}

}  // namespace estiba::model
