#include "model/field_set.h"

#include <algorithm>
#include <cstring>

#include "base/strings.h"

namespace estiba::model {

// ---- memory

char* FieldPool::allocate(size_t bytes) {
  bytes = (bytes + 7) & ~size_t(7);
  if (used_ + bytes > size_) {
    size_ = std::max<size_t>(bytes, chunks_.empty() ? 4096 : 16384);
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(size_));
    used_ = 0;
  }
  char* out = chunks_.back().get() + used_;
  used_ += bytes;
  return out;
}

FieldNode& FieldPool::node(const FieldStep& step, bool member, FieldSet children) {
  return *new (allocate(sizeof(FieldNode))) FieldNode{step, member, children, nullptr};
}

std::string_view FieldPool::keep(std::string_view text) {
  if (text.empty()) return {};
  char* out = allocate(text.size());
  memcpy(out, text.data(), text.size());
  return {out, text.size()};
}

void FieldLevel::add(const FieldStep& step, bool member, FieldSet children) {
  if (member || children) scratch_.push_back(&pool_.node(step, member, children));
}

FieldSet FieldLevel::take() {
  const auto first = scratch_.begin() + long(base_);
  const auto less = [](const FieldNode* a, const FieldNode* b) { return compare(a->step, b->step) < 0; };
  if (!std::is_sorted(first, scratch_.end(), less)) std::sort(first, scratch_.end(), less);
  FieldSet out = nullptr;
  while (scratch_.size() > base_) {
    scratch_.back()->next = out;
    out = scratch_.back();
    scratch_.pop_back();
  }
  return out;
}

// ---- order

namespace {

// The next JSON scalar of a canonical text; `at` is moved behind it.
std::string_view next_value(std::string_view text, size_t& at) {
  const size_t start = at;
  if (at < text.size() && text[at] == '"') {
    for (++at; at < text.size() && text[at] != '"'; ++at)
      if (text[at] == '\\') ++at;
    at = std::min(at + 1, text.size());
  } else {
    while (at < text.size() && text[at] != ',' && text[at] != '}' && text[at] != ':') ++at;
  }
  return text.substr(start, at - start);
}

int sign(auto a, auto b) { return a < b ? -1 : a > b ? 1 : 0; }

int rank(std::string_view value) {
  const char c = value.empty() ? 'n' : value[0];
  if (c == '-' || (c >= '0' && c <= '9')) return 0;
  if (c == '"') return 1;
  return c == 't' || c == 'f' ? 2 : 3;
}

// Numbers, then strings, booleans and null.
int compare_values(std::string_view a, std::string_view b) {
  const int rank_a = rank(a), rank_b = rank(b);
  if (rank_a != rank_b) return sign(rank_a, rank_b);
  if (rank_a == 0) {
    const int by_value = sign(strtod(std::string(a).c_str(), nullptr), strtod(std::string(b).c_str(), nullptr));
    if (by_value) return by_value;
  }
  return sign(a, b);
}

int compare_keys(std::string_view a, std::string_view b) {
  size_t i = 1, j = 1;
  while (i < a.size() && j < b.size()) {
    if (a[i] == '}' || b[j] == '}') return sign(b[j] == '}', a[i] == '}');
    if (const int names = sign(next_value(a, i), next_value(b, j))) return names;
    if (const int values = compare_values(next_value(a, ++i), next_value(b, ++j))) return values;
    if (i < a.size() && a[i] == ',') ++i;
    if (j < b.size() && b[j] == ',') ++j;
  }
  return sign(a.size() - std::min(i, a.size()), b.size() - std::min(j, b.size()));
}

}  // namespace

int compare(const FieldStep& a, const FieldStep& b) {
  if (a.kind != b.kind) return sign(a.kind, b.kind);
  if (a.text == b.text) return 0;
  switch (a.kind) {
    case FieldStep::Kind::field: return sign(a.text, b.text);
    case FieldStep::Kind::key: return compare_keys(a.text, b.text);
    case FieldStep::Kind::value: return compare_values(a.text, b.text);
    case FieldStep::Kind::index: return a.text.size() != b.text.size() ? sign(a.text.size(), b.text.size()) : sign(a.text, b.text);
  }
  return 0;
}

// ---- operations: each walks two sorted lists once

namespace {

// A list that grows at its end.
class Chain {
 public:
  explicit Chain(FieldPool& pool) : pool_(pool) {}
  void add(const FieldNode& like, bool member, FieldSet children) {
    if (!member && !children) return;
    FieldNode& node = pool_.node(like.step, member, children);
    if (last_) last_->next = &node;
    else first_ = &node;
    last_ = &node;
  }
  FieldSet first() const { return first_; }

 private:
  FieldPool& pool_;
  FieldSet first_ = nullptr;
  FieldNode* last_ = nullptr;
};

// Calls both(a, b) for steps in both, and only_a and only_b for the others.
template <class Both, class OnlyA, class OnlyB>
void zip(FieldSet a, FieldSet b, Both both, OnlyA only_a, OnlyB only_b) {
  while (a && b) {
    const int order = compare(a->step, b->step);
    if (order < 0) {
      only_a(*a);
      a = a->next;
    } else if (order > 0) {
      only_b(*b);
      b = b->next;
    } else {
      both(*a, *b);
      a = a->next;
      b = b->next;
    }
  }
  for (; a; a = a->next) only_a(*a);
  for (; b; b = b->next) only_b(*b);
}

constexpr auto nothing = [](const FieldNode&) {};

}  // namespace

FieldSet unite(FieldPool& pool, FieldSet a, FieldSet b) {
  if (!a || a == b) return b;
  if (!b) return a;
  Chain out(pool);
  const auto keep = [&](const FieldNode& node) { out.add(node, node.member, node.children); };
  zip(
      a, b, [&](const FieldNode& x, const FieldNode& y) { out.add(x, x.member || y.member, unite(pool, x.children, y.children)); }, keep,
      keep);
  return out.first();
}

FieldSet intersect(FieldPool& pool, FieldSet a, FieldSet b) {
  if (!a || !b) return nullptr;
  if (a == b) return a;
  Chain out(pool);
  zip(
      a, b, [&](const FieldNode& x, const FieldNode& y) { out.add(x, x.member && y.member, intersect(pool, x.children, y.children)); },
      nothing, nothing);
  return out.first();
}

FieldSet subtract(FieldPool& pool, FieldSet a, FieldSet b) {
  if (!a || !b) return a;
  Chain out(pool);
  zip(
      a, b, [&](const FieldNode& x, const FieldNode& y) { out.add(x, x.member && !y.member, subtract(pool, x.children, y.children)); },
      [&](const FieldNode& x) { out.add(x, x.member, x.children); }, nothing);
  return out.first();
}

FieldSet subtract_below(FieldPool& pool, FieldSet a, FieldSet b) {
  if (!a || !b) return a;
  Chain out(pool);
  zip(
      a, b,
      [&](const FieldNode& x, const FieldNode& y) {
        if (!y.member) out.add(x, x.member, subtract_below(pool, x.children, y.children));
      },
      [&](const FieldNode& x) { out.add(x, x.member, x.children); }, nothing);
  return out.first();
}

bool equal(FieldSet a, FieldSet b) {
  for (; a && b; a = a->next, b = b->next) {
    if (a == b) return true;
    if (a->member != b->member || !(a->step == b->step) || !equal(a->children, b->children)) return false;
  }
  return a == b;
}

const FieldNode* find(FieldSet set, const FieldStep& step) {
  for (; set; set = set->next)
    if (set->step == step) return set;
  return nullptr;
}

bool contains(FieldSet set, const FieldPath& path) {
  const FieldNode* node = nullptr;
  for (const FieldStep& step : path) {
    node = find(set, step);
    if (!node) return false;
    set = node->children;
  }
  return node && node->member;
}

FieldSet single(FieldPool& pool, const FieldPath& path) {
  FieldSet out = nullptr;
  for (size_t i = path.size(); i-- > 0;) out = &pool.node(path[i], i + 1 == path.size(), out);
  return out;
}

static void visit_all(FieldSet set, FieldPath& path, const std::function<void(const FieldPath&)>& visit) {
  // Members of a level come before what is below them, as Kubernetes lists conflicts.
  for (FieldSet node = set; node; node = node->next) {
    if (!node->member) continue;
    path.push_back(node->step);
    visit(path);
    path.pop_back();
  }
  for (FieldSet node = set; node; node = node->next) {
    if (!node->children) continue;
    path.push_back(node->step);
    visit_all(node->children, path, visit);
    path.pop_back();
  }
}

void for_each(FieldSet set, const std::function<void(const FieldPath&)>& visit) {
  FieldPath path;
  visit_all(set, path, visit);
}

std::string to_string(FieldSet set) {
  std::string out;
  for_each(set, [&](const FieldPath& path) { out += to_string(path) + "\n"; });
  return out;
}

std::string to_string(const FieldPath& path) {
  std::string out;
  for (const FieldStep& step : path) {
    switch (step.kind) {
      case FieldStep::Kind::field: out.append(".").append(step.text); break;
      case FieldStep::Kind::value: out.append("[=").append(step.text).append("]"); break;
      case FieldStep::Kind::index: out.append("[").append(step.text).append("]"); break;
      case FieldStep::Kind::key: {
        char separator = '[';
        for (size_t at = 1; at < step.text.size() && step.text[at] != '}'; at += at < step.text.size() && step.text[at] == ',') {
          const std::string_view name = next_value(step.text, at);
          out += separator;
          out.append(name.substr(1, name.size() - 2)).append("=").append(next_value(step.text, ++at));
          separator = ',';
        }
        out += ']';
      }
    }
  }
  return out;
}

}  // namespace estiba::model
