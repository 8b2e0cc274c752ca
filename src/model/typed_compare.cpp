#include <unordered_map>

#include "model/typed.h"
#include "model/typed_place.h"

namespace estiba::model {

using json::Node;
using schema::Field;
using schema::Type;

namespace {

const Node& empty_object() {
  static const json::Document document = [] {
    json::Document made;
    made.set_root(made.make_object());
    return made;
  }();
  return document.root();
}

bool is_empty(const Node* node) { return !node || node->is_null() || node->empty(); }

class Comparer {
 public:
  explicit Comparer(FieldPool& pool) : pool_(pool) {}

  // What was found at one value and below it.
  struct Found {
    bool added = false, modified = false, removed = false;
    FieldChanges below;
  };

  Found value(const Node* before, const Node* now, const Place& place) {
    Found out;
    const bool map = place.is_map(now ? now : before);
    // An object where there was none, in a place without a type.
    const bool other = before && now && place.form == Place::Form::deduced && before->is_object() != now->is_object();
    const bool leaf = other || place.atomic || !(map || place.is_list()) || (is_empty(before) && is_empty(now));
    if (leaf) {
      out.added = !before;
      out.removed = !now;
      out.modified = before && now && !json::equal(*before, *now);
      return out;
    }
    if (map) members(out.below, object_or_null(before), object_or_null(now), place);
    else elements(out.below, list_or_null(before), list_or_null(now), place);
    out.added = !before;
    out.removed = !now;
    return out;
  }

 private:
  // The three sets of one level.
  struct Levels {
    explicit Levels(Comparer& c) : added(c.pool_, c.added_), modified(c.pool_, c.modified_), removed(c.pool_, c.removed_) {}
    void add(const FieldStep& step, const Found& found) {
      added.add(step, found.added, found.below.added);
      modified.add(step, found.modified, found.below.modified);
      removed.add(step, found.removed, found.below.removed);
    }
    void take(FieldChanges& out) { out = {added.take(), modified.take(), removed.take()}; }
    FieldLevel added, modified, removed;
  };

  static const Node* object_or_null(const Node* node) { return node && node->is_object() ? node : nullptr; }
  static const Node* list_or_null(const Node* node) { return node && node->is_array() ? node : nullptr; }

  void members(FieldChanges& out, const Node* before, const Node* now, const Place& place) {
    Levels levels(*this);
    MemberPlaces places(place);
    Place there;
    // Both nearly always have the same members in the same order: the other side's cursor mostly stands where it should.
    const auto pass = [&](const Node* mine, const Node* theirs, bool newer) {
      if (!mine) return;
      using Cursor = Node::Iterator<const Node>;
      const Cursor end(nullptr);
      Cursor cursor = theirs ? theirs->begin() : end;
      for (const Node& member : *mine) {
        const Node* match = nullptr;
        if (theirs) match = cursor != end && cursor->key() == member.key() ? &*cursor : theirs->find(member.key());
        if (match) cursor = ++Cursor(match);
        if (!newer && match) continue;
        if (!places.find(member.key(), there)) continue;
        if (!match && theirs && places.field() && always_there(*place.type, *places.field())) match = &empty_object();
        levels.add({FieldStep::Kind::field, member.key()}, newer ? value(match, &member, there) : value(&member, match, there));
      }
    };
    pass(now, before, true);
    pass(before, now, false);
    levels.take(out);
  }

  struct Pair {
    std::vector<const Node*> before, now;
  };

  void elements(FieldChanges& out, const Node* before, const Node* now, const Place& place) {
    if (before && now && json::equal(*before, *now)) return;
    std::unordered_map<std::string_view, Pair> by_key;
    std::vector<FieldStep> steps;
    const auto gather = [&](const Node* list, std::vector<const Node*> Pair::* side) {
      if (!list) return;
      for (const Node& element : *list) {
        const auto step = element_step(pool_, place, element);
        if (!step) continue;
        auto [it, fresh] = by_key.try_emplace(step->text);
        if (fresh) steps.push_back(*step);
        (it->second.*side).push_back(&element);
      }
    };
    gather(before, &Pair::before);
    gather(now, &Pair::now);
    Levels levels(*this);
    const Place element = element_place(place);
    for (const FieldStep& step : steps) levels.add(step, element_pair(by_key[step.text], element));
    levels.take(out);
  }

  // Elements of one key are told apart by nothing: together they are one leaf.
  Found element_pair(const Pair& pair, const Place& place) {
    const size_t old_count = pair.before.size(), new_count = pair.now.size();
    if (old_count <= 1 && new_count <= 1) return value(old_count ? pair.before[0] : nullptr, new_count ? pair.now[0] : nullptr, place);
    Found out;
    if (old_count >= 2 && new_count >= 2) {
      out.modified = old_count != new_count;
      for (size_t i = 0; i < new_count && !out.modified; ++i) out.modified = !json::equal(*pair.before[i], *pair.now[i]);
    } else if (old_count >= 2) {
      if (new_count) out = value(nullptr, pair.now[0], place);
      out.removed = true;
    } else {
      if (old_count) out = value(pair.before[0], nullptr, place);
      out.added = true;
    }
    return out;
  }

  FieldPool& pool_;
  std::vector<FieldNode*> added_, modified_, removed_;
};

}  // namespace

FieldChanges compare_typed(FieldPool& pool, const Node& before, const Node& now, const Type& type) {
  return Comparer(pool).value(&before, &now, place_of(type)).below;
}

}  // namespace estiba::model
