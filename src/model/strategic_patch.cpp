#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/strings.h"
#include "model/patch.h"

namespace estiba::model {

using json::Document;
using json::Node;
using schema::Field;
using schema::Shape;
using schema::Type;

namespace {

constexpr std::string_view patch_directive = "$patch";
constexpr std::string_view retain_keys = "$retainKeys";
constexpr std::string_view set_order = "$setElementOrder/";
constexpr std::string_view delete_from_list = "$deleteFromPrimitiveList/";

std::unexpected<Error> bad(std::string what) { return fail(Code::malformed, "strategic merge patch: " + std::move(what)); }

bool is_directive(std::string_view key) {
  return key == patch_directive || key == retain_keys || key.starts_with(set_order) || key.starts_with(delete_from_list);
}

std::string wrong_kind(std::string_view field, std::string_view expected, const Node& node) {
  return std::string(field) + ": expected " + std::string(expected) + ", got " + std::string(json::to_string(node.type()));
}

// What the tables say of the value that a key of an object holds. Inside maps and unknown fields there is no field.
struct Place {
  const Type* type = nullptr;    // of the value, when it is a message
  const Field* field = nullptr;  // null: merge without knowledge
};

const Type* message_of(const Field& field) { return field.kind == schema::Kind::message ? field.type : nullptr; }

Place place_in(const Place& parent, std::string_view key) {
  if (parent.field && (parent.field->shape == Shape::map)) return {message_of(*parent.field), nullptr};
  if (!parent.type) return {};
  const Field* field = parent.type->find(key);
  if (!field) return {};
  return {message_of(*field), field};
}

// The place of a map field itself keeps its field, so that its values' type is found; messages do not need it.
Place inside(const Place& place) {
  if (place.field && place.field->shape == Shape::map) return place;
  return {place.type, nullptr};
}

using Elements = std::vector<Node*>;

Elements elements_of(Node& list) {
  Elements out;
  out.reserve(list.size());
  for (Node& element : list) out.push_back(&element);
  return out;
}

// Where the elements of a list stand, by merge key or by value. Of equal ones the first counts.
class Positions {
 public:
  static constexpr size_t none = size_t(-1);

  Positions(const Node& list, std::string_view merge_key) : merge_key_(merge_key) {
    for (const Node& element : list) add(element);
  }
  /// The next element of the list.
  void add(const Node& element) {
    if (auto text = text_of(element)) at_.try_emplace(std::move(*text), next_);
    ++next_;
  }
  bool has(const Node& element) const { return of(element) != none; }
  size_t of(const Node& element) const {
    const auto text = text_of(element);
    if (!text) return none;
    const auto it = at_.find(*text);
    return it != at_.end() ? it->second : none;
  }

 private:
  std::optional<std::string> text_of(const Node& element) const {
    if (merge_key_.empty()) return json::print(element);
    const Node* key = element.find(merge_key_);
    return key ? std::optional(json::print(*key)) : std::nullopt;
  }

  std::string_view merge_key_;
  std::unordered_map<std::string, size_t> at_;
  size_t next_ = 0;
};

// A list that a patch is merged into, element by element: each is found by its key at once, and what is deleted is taken out in
// the end, so that n elements into m cost n + m.
class KeyedList {
 public:
  KeyedList(Node& list, std::string_view merge_key) : merge_key_(merge_key) {
    for (Node& element : list) add(element);
  }
  Node* find(const Node& like) const {
    const auto found = at_.find(key_of(like));
    return found == at_.end() ? nullptr : elements_[found->second.front()];
  }
  void add(Node& element) {
    if (element.find(merge_key_)) at_[key_of(element)].push_back(elements_.size());
    elements_.push_back(&element);
  }
  /// All that have the key of `like`.
  void remove(const Node& like) {
    const auto found = at_.find(key_of(like));
    if (found == at_.end()) return;
    for (const size_t i : found->second) elements_[i] = nullptr;
    at_.erase(found);
  }
  void write_to(Document& document, Node& list) const {
    document.clear(list);
    for (Node* element : elements_)
      if (element) document.append(list, *element);
  }

 private:
  std::string key_of(const Node& element) const { return json::print(*element.find(merge_key_)); }

  std::string_view merge_key_;
  Elements elements_;
  std::unordered_map<std::string, std::vector<size_t>> at_;  // into elements_
};

class Strategic {
 public:
  explicit Strategic(Document& document) : document_(document) {}

  Result<void> merge(Node& original, const Node& patch, const Place& place) {
    if (const Node* directive = patch.find(patch_directive)) {
      const std::string_view what = directive->as_string();
      if (what == "replace") {
        replace(original, patch);
        return {};
      }
      if (what == "delete") {
        document_.clear(original);
        return {};
      }
      if (what != "merge") return bad("unknown $patch directive " + quoted(what) + ": use merge, replace or delete");
    }
    TRY(retain(original, patch));
    for (const Node& member : patch)
      if (member.key().starts_with(set_order)) TRY(ordered(original, patch, member, place));
    for (const Node& member : patch) TRY(one(original, patch, member, place));
    return {};
  }

 private:
  // A copy without directives and nulls: what a patch means where there is nothing to merge with.
  Node& plain(const Node& value) {
    if (value.is_array()) {
      Node& out = document_.make_array();
      for (const Node& element : value)
        if (!element.find(patch_directive)) document_.append(out, plain(element));
      return out;
    }
    if (!value.is_object()) return document_.copy(value);
    Node& out = document_.make_object();
    for (const Node& member : value)
      if (!member.is_null() && !is_directive(member.key())) document_.add(out, member.key(), plain(member));
    return out;
  }

  void replace(Node& original, const Node& patch) {
    const Node& made = plain(patch);
    document_.assign(original, made);
  }

  Result<void> retain(Node& original, const Node& patch) {
    const Node* list = patch.find(retain_keys);
    if (!list) return {};
    if (!list->is_array()) return bad(wrong_kind(retain_keys, "an array of names", *list));
    std::unordered_set<std::string_view> names;
    for (const Node& name : *list) names.insert(name.as_string());
    const auto kept = [&](std::string_view key) { return names.contains(key); };
    for (const Node& member : patch)
      if (!member.is_null() && !is_directive(member.key()) && !kept(member.key()))
        return bad("$retainKeys must hold every field of the patch, but " + quoted(member.key()) + " is not in it");
    std::vector<std::string_view> gone;
    for (const Node& member : original)
      if (!kept(member.key())) gone.push_back(member.key());
    for (std::string_view key : gone) document_.remove(original, key);
    return {};
  }

  // $setElementOrder/field: merge the list, then put it in that order.
  Result<void> ordered(Node& original, const Node& patch, const Node& order, const Place& place) {
    const std::string_view key = order.key().substr(set_order.size());
    if (!order.is_array()) return bad(wrong_kind(order.key(), "an array", order));
    const Place list_place = place_in(place, key);
    const std::string_view merge_key = list_place.type && list_place.field ? list_place.field->merge_key() : std::string_view{};
    const Node* patch_list = patch.find(key);
    Node* list = original.find(key);
    if (patch_list && !patch_list->is_array() && !patch_list->is_null()) return bad(wrong_kind(key, "an array", *patch_list));
    if (patch_list && patch_list->is_array()) {
      const Positions wanted(order, merge_key);
      for (const Node& element : *patch_list)
        if (!element.find(patch_directive) && !wanted.has(element))
          return bad("the elements of " + quoted(key) + " must be in its $setElementOrder list");
    }
    const Positions before(list && list->is_array() ? *list : order, merge_key);
    if (patch_list) TRY(one(original, patch, *patch_list, place));
    if (!(list = original.find(key)) || !list->is_array()) return {};
    reorder(*list, order, before, merge_key);
    return {};
  }

  // Elements that `order` names come in its order, the others in the order they had; the two are merged so that an element
  // that stood before another in the original still does.
  void reorder(Node& list, const Node& order, const Positions& before, std::string_view merge_key) {
    using Placed = std::pair<size_t, Node*>;
    const Positions wanted(order, merge_key);
    std::vector<Placed> named, others;
    for (Node* element : elements_of(list)) {
      const size_t at = wanted.of(*element);
      if (at != Positions::none) named.emplace_back(at, element);
      else others.emplace_back(before.of(*element), element);
    }
    std::ranges::stable_sort(named, {}, &Placed::first);
    std::ranges::stable_sort(others, {}, &Placed::first);
    for (Placed& placed : named) placed.first = before.of(*placed.second);
    document_.clear(list);
    size_t i = 0, j = 0;
    while (i < named.size() || j < others.size()) {
      // An element that one of the two has not from the original: what the patch names comes first, as in Kubernetes.
      const bool other_first = i == named.size() || (j < others.size() && named[i].first != Positions::none &&
                                                     others[j].first != Positions::none && others[j].first < named[i].first);
      document_.append(list, other_first ? *others[j++].second : *named[i++].second);
    }
  }

  Result<void> one(Node& original, const Node& patch, const Node& member, const Place& place) {
    const std::string_view key = member.key();
    if (key == patch_directive || key == retain_keys || key.starts_with(set_order)) return {};
    if (key.starts_with(delete_from_list)) return remove_values(original, member, key.substr(delete_from_list.size()));
    if (merged_with_order(patch, member)) return {};
    if (member.is_null()) {
      document_.remove(original, key);
      return {};
    }
    Node* old = original.find(key);
    const Place there = place_in(place, key);
    if (!old || old->type() != member.type()) {
      document_.set(original, key, plain(member));
      return {};
    }
    if (member.is_object()) {
      if (!there.field || !there.field->replace) return merge(*old, member, inside(there));
      replace(*old, member);
      return {};
    }
    if (member.is_array() && there.field && there.field->merge) return lists(*old, member, there);
    document_.set(original, key, plain(member));
    return {};
  }

  // Whether `ordered` has merged this list. Its own call, the first one, goes on.
  bool merged_with_order(const Node& patch, const Node& member) {
    if (!patch.find(std::string(set_order) + std::string(member.key()))) return false;
    if (std::ranges::find(ordered_, &member) != ordered_.end()) return true;
    ordered_.push_back(&member);
    return false;
  }

  Result<void> remove_values(Node& original, const Node& values, std::string_view key) {
    if (!values.is_array()) return bad(wrong_kind(values.key(), "an array", values));
    Node* list = original.find(key);
    if (!list || !list->is_array()) return {};
    const Elements all = elements_of(*list);
    const Positions gone(values, "");
    document_.clear(*list);
    for (Node* element : all)
      if (!gone.has(*element)) document_.append(*list, *element);
    return {};
  }

  Result<void> lists(Node& original, const Node& patch, const Place& place) {
    const Positions before(original, place.type ? place.field->merge_key() : std::string_view{});
    if (!place.type) {
      Positions present = before;
      for (const Node& value : patch) {
        if (present.has(value)) continue;
        document_.append(original, document_.copy(value));
        present.add(value);
      }
      reorder(original, patch, before, "");
      return {};
    }
    const std::string_view merge_key = place.field->merge_key();
    if (merge_key.empty()) return bad("cannot merge lists without merge key for " + std::string(place.field->name));
    for (const Node& element : patch) {
      if (element.string_at(patch_directive) == "replace") {
        document_.clear(original);
        for (const Node& other : patch)
          if (!other.find(patch_directive)) document_.append(original, plain(other));
        return {};
      }
    }
    KeyedList list(original, merge_key);
    for (const Node& element : patch) TRY(element_into(list, element, place, merge_key));
    list.write_to(document_, original);
    reorder(original, patch, before, merge_key);
    return {};
  }

  Result<void> element_into(KeyedList& list, const Node& element, const Place& place, std::string_view merge_key) {
    if (!element.is_object()) return bad(wrong_kind(place.field->name, "an array of objects", element));
    if (!element.find(merge_key))
      return bad("an element of " + quoted(place.field->name) + " does not contain declared merge key: " + std::string(merge_key));
    const Node* directive = element.find(patch_directive);
    if (directive && directive->as_string() == "delete") {
      list.remove(element);
      return {};
    }
    if (directive) return bad("unknown $patch directive " + quoted(directive->as_string()) + " in a list: use replace or delete");
    if (Node* old = list.find(element)) return merge(*old, element, {place.type, nullptr});
    list.add(plain(element));
    return {};
  }

  Document& document_;
  std::vector<const Node*> ordered_;
};

}  // namespace

Result<void> apply_strategic_merge_patch(Document& document, const Node& patch, const Type& type) {
  if (!patch.is_object()) return bad("expected an object, got " + std::string(json::to_string(patch.type())));
  if (!document.root().is_object()) document.set_root(document.make_object());
  return Strategic(document).merge(document.root(), patch, {&type, nullptr});
}

}  // namespace estiba::model
