// Assignability of types, and what type parameters stand for.
#pragma once
#include <span>
#include <vector>

#include "cel/type.h"

namespace estiba::cel {

/// The substitutions that a check has made so far. A trial that fails leaves none.
class Unifier {
 public:
  static constexpr size_t max_work = 2'000'000;

  explicit Unifier(TypePool& pool) : pool_(pool) {}

  const Type* fresh();
  /// Whether a value of type `from` may stand where `to` is wanted.
  bool assignable(const Type* to, const Type* from);
  bool assignable(std::span<const Type* const> to, std::span<const Type* const> from);
  /// The type with its parameters replaced by what they stand for; with `dyn`, the open ones by dyn.
  const Type* substitute(const Type* type, bool dyn = false);
  /// The more general of two types that go together.
  static const Type* most_general(const Type* a, const Type* b);
  /// A declaration's type with fresh parameters; `map` says which for each letter.
  const Type* instantiate(const Type* type, std::vector<std::pair<const Type*, const Type*>>& map);
  /// Types that are built upon each other in ever new ways could keep a check busy for years.
  bool exhausted() const { return work_ > max_work; }

 private:
  bool try_assign(const Type* to, const Type* from);
  bool try_assign(std::span<const Type* const> to, std::span<const Type* const> from);
  bool bind(const Type* param, const Type* type, bool& bound);
  bool occurs(const Type* param, const Type* within);
  const Type* find(const Type* type) const;
  void set(const Type* param, const Type* type);

  TypePool& pool_;
  std::vector<const Type*> params_, bindings_;
  std::vector<std::pair<uint32_t, const Type*>> trail_;
  size_t work_ = 0;
};

}  // namespace estiba::cel
