#include "cel/checker.h"

#include <algorithm>
#include <string>

namespace estiba::cel {

const Type* message_type(std::string_view name, TypePool& pool) {
  if (name == "JSONPatch") return &types::json_patch;
  return name == "Object" || name.starts_with("Object.") ? pool.object(name, nullptr) : nullptr;
}

namespace {

class Checker {
 public:
  Checker(const Names& names, TypePool& pool, Arena& arena, Issues& issues)
      : names_(names), pool_(pool), arena_(arena), issues_(issues), unifier_(pool) {}

  bool run(Expr& root) {
    const size_t before = issues_.size();
    check(&root);
    if (unifier_.exhausted()) issues_.push_back({nowhere, "types of the expression are too complex"});
    if (issues_.size() > before) return false;
    finish(&root);
    return true;
  }

 private:
  void report(const Expr* expr, std::string message) { report(expr->position, std::move(message)); }
  void report(Position position, std::string message) {
    if (issues_.size() < 100) issues_.push_back({position, std::move(message)});
  }
  void undeclared(const Expr* expr, std::string_view name) {
    report(expr, "undeclared reference to '" + std::string(name) + "' (in container '')");
  }
  void mismatch(const Expr* expr, const Type* expected, const Type* actual) {
    report(expr, "expected type '" + to_string(*expected) + "' but found '" + to_string(*actual) + "'");
  }

  /// A variable of a comprehension, else of the environment, else a type's name.
  const Type* look_up(std::string_view name, bool& is_type) {
    is_type = false;
    const bool global = name.starts_with('.');
    if (global) name.remove_prefix(1);
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend() && !global; ++scope)
      if (scope->first == name) return scope->second;
    if (const Type* type = names_.variable(name)) return type;
    const Type* named = find_named_type(name);
    if (!named && names_.features().mutation) named = message_type(name, pool_);
    if (!named) return nullptr;
    is_type = true;
    return pool_.type_of(named);
  }

  void check(Expr* expr) {
    switch (expr->kind) {
      case ExprKind::literal: expr->type = type_of(expr->literal); break;
      case ExprKind::ident: check_ident(expr); break;
      case ExprKind::select: check_select(expr); break;
      case ExprKind::call: check_call(expr); break;
      case ExprKind::list: check_list(expr); break;
      case ExprKind::map: check_map(expr); break;
      case ExprKind::message: check_message(expr); break;
      case ExprKind::fold: check_fold(expr); break;
    }
  }

  void check_ident(Expr* expr) {
    bool is_type;
    if (const Type* type = look_up(expr->name, is_type)) {
      expr->type = type;
      expr->type_name = is_type;
      return;
    }
    undeclared(expr, expr->name);
    expr->type = &types::error;
  }

  /// "a.b.c" of idents and selections only.
  bool qualified_name(const Expr* expr, std::string& out) {
    if (expr->kind == ExprKind::ident) {
      out = expr->name;
      return true;
    }
    if (expr->kind != ExprKind::select || expr->test_only || !qualified_name(expr->target, out)) return false;
    out += "." + std::string(expr->name);
    return true;
  }

  void check_select(Expr* expr) {
    std::string name;
    bool is_type;
    // A dotted name may be one name ("net.IP").
    if (!expr->test_only && qualified_name(expr, name))
      if (const Type* type = look_up(name, is_type)) {
        expr->kind = ExprKind::ident;
        expr->target = nullptr;
        expr->name = arena_.keep(name);
        expr->type = type;
        expr->type_name = is_type;
        return;
      }
    const Type* result = field_type(expr, expr->target, expr->name, false);
    expr->type = expr->test_only ? &types::boolean : unifier_.substitute(result);
  }

  const Type* field_type(const Expr* expr, Expr* operand, std::string_view field, bool optional) {
    check(operand);
    const Type* type = unifier_.substitute(operand->type);
    if (type->kind == TypeKind::optional) {
      optional = true;
      type = type->element();
    }
    const Type* result = &types::error;
    switch (type->kind) {
      case TypeKind::map: result = type->value(); break;
      case TypeKind::object: result = object_field(expr, type, field); break;
      case TypeKind::param:
        unifier_.assignable(&types::dyn, type);
        result = &types::dyn;
        break;
      default:
        if (!type->is_dyn_or_error()) report(expr, "type '" + to_string(*type) + "' does not support field selection");
        result = &types::dyn;
    }
    return optional ? pool_.optional(result) : result;
  }

  const Type* object_field(const Expr* expr, const Type* type, std::string_view field) {
    if (type->decl) {
      if (const DeclField* found = type->decl->find(field)) return found->type->type;
    } else if (type == &types::json_patch) {
      if (field == "op" || field == "path" || field == "from") return &types::string;
      if (field == "value") return &types::dyn;
    } else if (type->name == "Object" || type->name.starts_with("Object.")) {
      return &types::dyn;
    }
    report(expr, "undefined field '" + std::string(field) + "'");
    return &types::error;
  }

  void check_call(Expr* expr) {
    if (expr->name == op::opt_select) {
      const Type* result = field_type(expr, expr->args[0], expr->args[1]->literal.text(), true);
      expr->args[1]->type = &types::string;
      expr->type = unifier_.substitute(result);
      return;
    }
    for (Expr* arg : expr->args) check(arg);
    const std::string_view name = !expr->target && expr->name.starts_with('.') ? expr->name.substr(1) : expr->name;
    if (expr->target) {
      // "ip.isCanonical(x)" is a function with a dotted name.
      std::string qualified;
      if (qualified_name(expr->target, qualified))
        if (const Function* function = find_function(qualified + "." + std::string(name), names_.features())) {
          expr->target = nullptr;
          expr->name = function->name;
          resolve(expr, *function);
          return;
        }
      check(expr->target);
    }
    if (const Function* function = find_function(name, names_.features())) {
      expr->name = function->name;
      return resolve(expr, *function);
    }
    undeclared(expr, name);
    expr->type = &types::error;
  }

  void resolve(Expr* expr, const Function& function) {
    std::vector<const Type*> args;
    if (expr->target) args.push_back(expr->target->type);
    for (const Expr* arg : expr->args) args.push_back(arg->type);
    if (expr->name == op::logical_and || expr->name == op::logical_or) return resolve_logic(expr, function);
    const Type* result = nullptr;
    std::vector<const Overload*> fitting;
    for (const Overload& overload : function.overloads) {
      if (overload.member != (expr->target != nullptr) || overload.args.size() != args.size()) continue;
      std::vector<std::pair<const Type*, const Type*>> letters;
      std::vector<const Type*> parameters;
      for (const Type* each : overload.args) parameters.push_back(unifier_.instantiate(each, letters));
      const Type* instance = unifier_.instantiate(overload.result, letters);
      if (!unifier_.assignable(args, parameters)) continue;
      fitting.push_back(&overload);
      const Type* type = unifier_.substitute(instance);
      if (!result) result = type;
      else if (result->kind != TypeKind::dyn && type != result) result = &types::dyn;
    }
    expr->type = result ? result : &types::error;
    expr->overloads = arena_.copy(fitting);
    if (!result) no_overload(expr, function.name, args);
  }

  void resolve_logic(Expr* expr, const Function& function) {
    expr->type = &types::boolean;
    for (Expr* arg : expr->args)
      if (!unifier_.assignable(arg->type, &types::boolean)) {
        mismatch(arg, &types::boolean, arg->type);
        expr->type = &types::error;
      }
    const Overload* overload = &function.overloads[0];
    expr->overloads = arena_.copy(std::span<const Overload* const>(&overload, 1));
  }

  void no_overload(const Expr* expr, std::string_view name, const std::vector<const Type*>& args) {
    std::string signature;
    for (size_t i = 0; i < args.size(); i++) {
      const std::string type = to_string(*unifier_.substitute(args[i], true));
      if (i == 0) signature = expr->target ? type + ".(" : "(" + type;
      else signature += (i == 1 && expr->target ? "" : ", ") + type;
    }
    if (args.empty()) signature = "(";
    report(expr, "found no matching overload for '" + std::string(name) + "' applied to '" + signature + ")'");
  }

  /// The type within an optional for an element with a '?'.
  const Type* unwrapped(Expr* expr, bool optional) {
    if (!optional) return expr->type;
    const Type* type = unifier_.substitute(expr->type);
    if (type->kind == TypeKind::optional) return type->element();
    if (type->kind != TypeKind::dyn) mismatch(expr, pool_.optional(type), type);
    return type;
  }

  const Type* join(const Type* previous, const Type* current) {
    if (!previous) return current;
    if (unifier_.assignable(previous, current)) return Unifier::most_general(previous, current);
    return &types::dyn;  // validate.h refuses most of these, with a better message
  }

  void check_list(Expr* expr) {
    const Type* element = nullptr;
    for (size_t i = 0; i < expr->args.size(); i++) {
      check(expr->args[i]);
      element = join(element, unwrapped(expr->args[i], expr->optional_at(i)));
    }
    expr->type = pool_.list(element ? element : unifier_.fresh());
  }

  void check_map(Expr* expr) {
    const Type *key = nullptr, *value = nullptr;
    for (size_t i = 0; i + 1 < expr->args.size(); i += 2) {
      check(expr->args[i]);
      key = join(key, expr->args[i]->type);
      check(expr->args[i + 1]);
      value = join(value, unwrapped(expr->args[i + 1], expr->optional_at(i / 2)));
    }
    if (!key) {
      key = unifier_.fresh();
      value = unifier_.fresh();
    }
    expr->type = pool_.map(key, value);
  }

  void check_message(Expr* expr) {
    const std::string_view name = expr->name.starts_with('.') ? expr->name.substr(1) : expr->name;
    bool is_type = false;
    const Type* ident = look_up(name, is_type);
    expr->type = &types::error;
    if (!ident) {
      undeclared(expr, expr->name);
    } else if (!is_type) {
      report(expr, "'" + to_string(*ident) + "' is not a type");
    } else if (!names_.features().mutation || !message_type(name, pool_)) {
      report(expr, "'" + to_string(*ident->element()) + "' is not a message type");
    } else {
      expr->type = ident->element();
    }
    for (size_t i = 0; i < expr->args.size(); i++) {
      check(expr->args[i]);
      if (expr->type->kind == TypeKind::error) continue;
      Expr field = *expr;
      field.position = expr->positions[i];
      const Type* wanted = object_field(&field, expr->type, expr->fields[i]);
      const Type* given = unwrapped(expr->args[i], expr->optional_at(i));
      if (!unifier_.assignable(wanted, given))
        report(&field, "expected type of field '" + std::string(expr->fields[i]) + "' is '" + to_string(*wanted) +
                           "' but provided type is '" + to_string(*given) + "'");
    }
  }

  void check_fold(Expr* expr) {
    Fold& fold = *expr->fold;
    check(fold.range);
    check(fold.init);
    const Type* range = unifier_.substitute(fold.range->type);
    const Type *first = &types::dyn, *second = &types::dyn;
    switch (range->kind) {
      case TypeKind::list:
        first = second = range->element();
        if (!fold.variable2.empty()) first = &types::integer;
        break;
      case TypeKind::map:
        first = range->element();
        second = range->value();
        break;
      case TypeKind::dyn:
      case TypeKind::error:
      case TypeKind::param: unifier_.assignable(&types::dyn, range); break;
      default:
        report(fold.range,
               "expression of type '" + to_string(*range) + "' cannot be range of a comprehension (must be list, map, or dynamic)");
        first = second = &types::error;
    }
    const size_t outside = scopes_.size();
    scopes_.emplace_back(fold.accu, fold.init->type);
    const size_t inside = scopes_.size();
    scopes_.emplace_back(fold.variable, first);
    if (!fold.variable2.empty()) scopes_.emplace_back(fold.variable2, second);
    check(fold.condition);
    require(fold.condition, &types::boolean);
    check(fold.step);
    require(fold.step, fold.init->type);
    scopes_.resize(inside);
    check(fold.result);
    scopes_.resize(outside);
    expr->type = unifier_.substitute(fold.result->type);
  }

  void require(const Expr* expr, const Type* type) {
    if (!unifier_.assignable(type, expr->type)) mismatch(expr, type, expr->type);
  }

  /// Replaces what is still open by dyn.
  void finish(Expr* expr) {
    expr->type = unifier_.substitute(expr->type, true);
    if (expr->target) finish(expr->target);
    for (Expr* arg : expr->args) finish(arg);
    if (Fold* fold = expr->fold)
      for (Expr* part : {fold->range, fold->init, fold->condition, fold->step, fold->result}) finish(part);
  }

  const Names& names_;
  TypePool& pool_;
  Arena& arena_;
  Issues& issues_;
  Unifier unifier_;
  std::vector<std::pair<std::string_view, const Type*>> scopes_;
};

}  // namespace

bool check(Expr& root, std::string_view, const Names& names, TypePool& pool, Arena& arena, Issues& issues) {
  return Checker(names, pool, arena, issues).run(root);
}

}  // namespace estiba::cel
