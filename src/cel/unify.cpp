#include "cel/unify.h"

#include <algorithm>
#include <string>

namespace estiba::cel {

static constexpr uint32_t first_fresh = 1000;

const Type* Unifier::fresh() {
  params_.push_back(pool_.param("_var" + std::to_string(params_.size()), first_fresh + uint32_t(params_.size())));
  bindings_.push_back(nullptr);
  return params_.back();
}

const Type* Unifier::find(const Type* type) const {
  return type->kind == TypeKind::param && type->number >= first_fresh ? bindings_[type->number - first_fresh] : nullptr;
}

void Unifier::set(const Type* param, const Type* type) {
  const uint32_t at = param->number - first_fresh;
  trail_.emplace_back(at, bindings_[at]);
  bindings_[at] = type;
}

bool Unifier::assignable(const Type* to, const Type* from) { return assignable(std::span(&to, 1), std::span(&from, 1)); }

bool Unifier::assignable(std::span<const Type* const> to, std::span<const Type* const> from) {
  const size_t start = trail_.size();
  if (to.size() == from.size() && try_assign(to, from)) return true;
  for (; trail_.size() > start; trail_.pop_back()) bindings_[trail_.back().first] = trail_.back().second;
  return false;
}

bool Unifier::try_assign(std::span<const Type* const> to, std::span<const Type* const> from) {
  if (to.size() != from.size()) return false;
  for (size_t i = 0; i < to.size(); i++)
    if (!try_assign(to[i], from[i])) return false;
  return true;
}

static bool nullable(const Type* type) {
  switch (type->kind) {
    case TypeKind::null:
    case TypeKind::opaque:
    case TypeKind::optional:
    case TypeKind::object:
    case TypeKind::any:
    case TypeKind::duration:
    case TypeKind::timestamp: return true;
    default: return false;
  }
}

bool Unifier::try_assign(const Type* to, const Type* from) {
  if (++work_ > max_work) return false;
  if (to == from && !to->free) return true;
  bool bound = false;
  if (from->kind == TypeKind::param && from->number >= first_fresh) {
    if (bind(from, to, bound)) return true;
    if (bound) return false;
  }
  if (to->kind == TypeKind::param && to->number >= first_fresh) return bind(to, from, bound);
  if (to->is_dyn_or_error() || from->is_dyn_or_error()) return true;
  if (to->kind == TypeKind::null) return nullable(from);
  if (from->kind == TypeKind::null) return nullable(to);
  switch (to->kind) {
    case TypeKind::type: return from->kind == TypeKind::type;
    case TypeKind::list:
    case TypeKind::map:
    case TypeKind::optional: return to->kind == from->kind && try_assign(to->parameters, from->parameters);
    case TypeKind::object:
    case TypeKind::opaque: return to->kind == from->kind && to->name == from->name;
    case TypeKind::param: return to == from;
    default: return to->kind == from->kind;
  }
}

/// Whether the parameter may stand for the type. `bound`: it already stands for another one.
bool Unifier::bind(const Type* param, const Type* type, bool& bound) {
  if (param == type) return bound = true;
  if (const Type* now = find(param)) {
    bound = true;
    if (now == type) return true;
    if (!try_assign(type, now)) return false;
    const Type* general = most_general(type, now);
    if (!occurs(param, general)) set(param, general);
    return true;
  }
  if (occurs(param, type)) return false;
  set(param, type);
  return true;
}

bool Unifier::occurs(const Type* param, const Type* within) {
  if (++work_ > max_work) return true;
  if (param == within) return true;
  if (!within->free) return false;
  if (within->kind == TypeKind::param) {
    const Type* now = find(within);
    return now && occurs(param, now);
  }
  return std::any_of(within->parameters.begin(), within->parameters.end(), [&](const Type* each) { return occurs(param, each); });
}

static bool equal_or_less_specific(const Type* a, const Type* b) {
  if (a->is_dyn_or_error()) return true;
  if (b->is_dyn_or_error()) return false;
  if (a->kind == TypeKind::param || a == b) return true;
  if (b->kind == TypeKind::param) return false;
  if (a->kind != b->kind) return false;
  if (a->kind == TypeKind::type) return true;
  if (a->parameters.size() != b->parameters.size()) return false;
  for (size_t i = 0; i < a->parameters.size(); i++)
    if (!equal_or_less_specific(a->parameters[i], b->parameters[i])) return false;
  return a->name == b->name;
}

const Type* Unifier::most_general(const Type* a, const Type* b) { return equal_or_less_specific(a, b) ? a : b; }

const Type* Unifier::substitute(const Type* type, bool dyn) {
  if (!type->free) return type;
  if (++work_ > max_work) return &types::dyn;
  if (const Type* now = find(type)) return substitute(now, dyn);
  if (type->kind == TypeKind::param) return dyn ? &types::dyn : type;
  std::vector<const Type*> parameters;
  for (const Type* each : type->parameters) parameters.push_back(substitute(each, dyn));
  return pool_.with(type, parameters);
}

const Type* Unifier::instantiate(const Type* type, std::vector<std::pair<const Type*, const Type*>>& map) {
  if (!type->free) return type;
  if (type->kind == TypeKind::param) {
    for (const auto& [letter, made] : map)
      if (letter == type) return made;
    map.emplace_back(type, fresh());
    return map.back().second;
  }
  std::vector<const Type*> parameters;
  for (const Type* each : type->parameters) parameters.push_back(instantiate(each, map));
  return pool_.with(type, parameters);
}

}  // namespace estiba::cel
