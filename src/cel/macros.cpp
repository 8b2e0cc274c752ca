#include "cel/macros.h"

#include <array>

namespace estiba::cel {

Expr* Builder::literal(Value value) {
  Expr* expr = make(ExprKind::literal);
  expr->literal = value;
  return expr;
}

Expr* Builder::ident(std::string_view name) {
  Expr* expr = make(ExprKind::ident);
  expr->name = name;
  return expr;
}

std::span<Expr*> Builder::nodes(std::initializer_list<Expr*> items) {
  Expr** made = arena_.array<Expr*>(items.size());
  std::copy(items.begin(), items.end(), made);
  return {made, items.size()};
}

Expr* Builder::call(std::string_view function, std::initializer_list<Expr*> args) {
  Expr* expr = make(ExprKind::call);
  expr->name = function;
  expr->args = nodes(args);
  return expr;
}

Expr* Builder::member_call(std::string_view function, Expr* target, std::initializer_list<Expr*> args) {
  Expr* expr = call(function, args);
  expr->target = target;
  return expr;
}

Expr* Builder::list(std::initializer_list<Expr*> items) {
  Expr* expr = make(ExprKind::list);
  expr->args = nodes(items);
  return expr;
}

Expr* Builder::fold(const Fold& fold) {
  Expr* expr = make(ExprKind::fold);
  expr->fold = arena_.make<Fold>(fold);
  return expr;
}

Expr* Builder::copy(const Expr* expr) {
  if (!expr || count_ > max_nodes) return nullptr;
  count_++;
  Expr* made = arena_.make<Expr>(*expr);
  const auto part = [&](Expr*& child) {
    if (!child) return true;
    child = copy(child);
    return child != nullptr;
  };
  if (!part(made->target)) return nullptr;
  Expr** args = arena_.array<Expr*>(made->args.size());
  for (size_t i = 0; i < made->args.size(); i++) {
    args[i] = made->args[i];
    if (!part(args[i])) return nullptr;
  }
  made->args = {args, made->args.size()};
  if (made->fold) {
    made->fold = arena_.make<Fold>(*made->fold);
    for (Expr** child : {&made->fold->range, &made->fold->init, &made->fold->condition, &made->fold->step, &made->fold->result})
      if (!part(*child)) return nullptr;
  }
  return made;
}

namespace {

using Args = std::span<Expr*>;
using Failure = std::optional<MacroError>;

Value truth(bool value) { return Value::boolean(value); }

/// The name of the variable that an argument declares.
bool variable(const Expr* arg, std::string_view message, Failure& error, std::string_view& name) {
  if (arg->kind != ExprKind::ident) {
    error = {arg->position, std::string(message)};
    return false;
  }
  if (arg->name == accu_name || arg->name == "__result__") {
    error = {arg->position, "iteration variable overwrites accumulator variable"};
    return false;
  }
  name = arg->name;
  return true;
}

/// One or two variables, whatever the form takes.
bool variables(Args args, size_t count, Failure& error, Fold& fold) {
  if (!variable(args[0], "argument must be a simple name", error, fold.variable)) return false;
  if (count == 1) return true;
  if (!variable(args[1], "argument must be a simple name", error, fold.variable2)) return false;
  if (fold.variable != fold.variable2) return true;
  error = {args[1]->position, "duplicate variable name: " + std::string(fold.variable)};
  return false;
}

Expr* has(Builder& b, Expr*, Args args, Failure& error) {
  if (args[0]->kind != ExprKind::select || args[0]->test_only) {
    error = {args[0]->position, "invalid argument to has() macro"};
    return nullptr;
  }
  Expr* expr = b.make(ExprKind::select);
  expr->target = args[0]->target;
  expr->name = args[0]->name;
  expr->test_only = true;
  return expr;
}

template <size_t count>
Expr* all(Builder& b, Expr* target, Args args, Failure& error) {
  Fold fold{.range = target, .accu = accu_name};
  if (!variables(args, count, error, fold)) return nullptr;
  fold.init = b.literal(truth(true));
  fold.condition = b.call(op::not_strictly_false, {b.ident(accu_name)});
  fold.step = b.call(op::logical_and, {b.ident(accu_name), args[count]});
  fold.result = b.ident(accu_name);
  return b.fold(fold);
}

template <size_t count>
Expr* exists(Builder& b, Expr* target, Args args, Failure& error) {
  Fold fold{.range = target, .accu = accu_name};
  if (!variables(args, count, error, fold)) return nullptr;
  fold.init = b.literal(truth(false));
  fold.condition = b.call(op::not_strictly_false, {b.call(op::logical_not, {b.ident(accu_name)})});
  fold.step = b.call(op::logical_or, {b.ident(accu_name), args[count]});
  fold.result = b.ident(accu_name);
  return b.fold(fold);
}

template <size_t count>
Expr* exists_one(Builder& b, Expr* target, Args args, Failure& error) {
  Fold fold{.range = target, .accu = accu_name};
  if (!variables(args, count, error, fold)) return nullptr;
  fold.init = b.literal(Value::integer(0));
  fold.condition = b.literal(truth(true));
  fold.step =
      b.call(op::conditional, {args[count], b.call(op::add, {b.ident(accu_name), b.literal(Value::integer(1))}), b.ident(accu_name)});
  fold.result = b.call(op::equals, {b.ident(accu_name), b.literal(Value::integer(1))});
  return b.fold(fold);
}

/// Collects `item` into a list, of those that `filter` (may be null) lets through.
Expr* collect(Builder& b, Fold fold, Expr* filter, Expr* item) {
  fold.accu = accu_name;
  fold.init = b.list({});
  fold.condition = b.literal(truth(true));
  fold.step = b.call(op::add, {b.ident(accu_name), b.list({item})});
  if (filter) fold.step = b.call(op::conditional, {filter, fold.step, b.ident(accu_name)});
  fold.result = b.ident(accu_name);
  return b.fold(fold);
}

Expr* map(Builder& b, Expr* target, Args args, Failure& error) {
  Fold fold{.range = target};
  if (!variable(args[0], "argument is not an identifier", error, fold.variable)) return nullptr;
  return collect(b, fold, args.size() == 3 ? args[1] : nullptr, args.back());
}

Expr* filter(Builder& b, Expr* target, Args args, Failure& error) {
  Fold fold{.range = target};
  if (!variable(args[0], "argument is not an identifier", error, fold.variable)) return nullptr;
  return collect(b, fold, args[1], args[0]);
}

Expr* transform_list(Builder& b, Expr* target, Args args, Failure& error) {
  Fold fold{.range = target};
  if (!variables(args, 2, error, fold)) return nullptr;
  return collect(b, fold, args.size() == 4 ? args[2] : nullptr, args.back());
}

Expr* into_map(Builder& b, Expr* target, Args args, Failure& error, bool entries) {
  Fold fold{.range = target, .accu = accu_name};
  if (!variables(args, 2, error, fold)) return nullptr;
  fold.init = b.make(ExprKind::map);
  fold.condition = b.literal(truth(true));
  fold.step = entries ? b.call("cel.@mapInsert", {b.ident(accu_name), args.back()})
                      : b.call("cel.@mapInsert", {b.ident(accu_name), b.ident(fold.variable), args.back()});
  if (args.size() == 4) fold.step = b.call(op::conditional, {args[2], fold.step, b.ident(accu_name)});
  fold.result = b.ident(accu_name);
  return b.fold(fold);
}

Expr* transform_map(Builder& b, Expr* target, Args args, Failure& error) { return into_map(b, target, args, error, false); }
Expr* transform_map_entry(Builder& b, Expr* target, Args args, Failure& error) { return into_map(b, target, args, error, true); }

/// `value` under a name within `body`: a comprehension over nothing.
Expr* bind_as(Builder& b, std::string_view name, Expr* value, Expr* body) {
  Fold fold{.range = b.list({}), .variable = "#unused", .accu = name};
  fold.init = value;
  fold.condition = b.literal(truth(false));
  fold.step = b.ident(name);
  fold.result = body;
  return b.fold(fold);
}

Expr* bind(Builder& b, Expr* target, Args args, Failure& error) {
  if (target->kind != ExprKind::ident || target->name != "cel") return nullptr;
  if (args[0]->kind == ExprKind::ident) return bind_as(b, args[0]->name, args[1], args[2]);
  error = {args[0]->position, "cel.bind() variable names must be simple identifiers"};
  return nullptr;
}

Expr* opt_map_as(Builder& b, Expr* target, Args args, Failure& error, bool flat) {
  if (args[0]->kind != ExprKind::ident) {
    error = {args[0]->position, std::string(flat ? "optFlatMap" : "optMap") + "() variable name must be a simple identifier"};
    return nullptr;
  }
  Expr* again = b.copy(target);
  if (!again) {
    error = {target->position, "expression is too large once its macros are expanded"};
    return nullptr;
  }
  Expr* mapped = bind_as(b, args[0]->name, b.member_call("value", again, {}), args[1]);
  if (!flat) mapped = b.call("optional.of", {mapped});
  return b.call(op::conditional, {b.member_call("hasValue", target, {}), mapped, b.call("optional.none", {})});
}

Expr* opt_map(Builder& b, Expr* target, Args args, Failure& error) { return opt_map_as(b, target, args, error, false); }
Expr* opt_flat_map(Builder& b, Expr* target, Args args, Failure& error) { return opt_map_as(b, target, args, error, true); }

Expr* sort_by(Builder& b, Expr* target, Args args, Failure& error) {
  static constexpr std::string_view input = "@__sortBy_input__";
  if (target->kind == ExprKind::literal || target->kind == ExprKind::map || target->kind == ExprKind::message) {
    error = {target->position, "sortBy can only be applied to a list, identifier, comprehension, call or select expression"};
    return nullptr;
  }
  Expr* keys = map(b, b.ident(input), args, error);
  return keys ? bind_as(b, input, target, b.member_call("@sortByAssociatedKeys", b.ident(input), {keys})) : nullptr;
}

constexpr auto macros = std::to_array<Macro>({
    {"has", false, 1, has},
    {"all", true, 2, all<1>},
    {"exists", true, 2, exists<1>},
    {"exists_one", true, 2, exists_one<1>},
    {"existsOne", true, 2, exists_one<1>},
    {"map", true, 2, map},
    {"map", true, 3, map},
    {"filter", true, 2, filter},
    {"all", true, 3, all<2>},
    {"exists", true, 3, exists<2>},
    {"exists_one", true, 3, exists_one<2>},
    {"existsOne", true, 3, exists_one<2>},
    {"transformList", true, 3, transform_list},
    {"transformList", true, 4, transform_list},
    {"transformMap", true, 3, transform_map},
    {"transformMap", true, 4, transform_map},
    {"transformMapEntry", true, 3, transform_map_entry},
    {"transformMapEntry", true, 4, transform_map_entry},
    {"optMap", true, 2, opt_map},
    {"optFlatMap", true, 2, opt_flat_map},
    {"sortBy", true, 2, sort_by},
    {"bind", true, 3, bind},
});

}  // namespace

const Macro* find_macro(std::string_view name, bool member, size_t args, bool bindings) {
  for (const Macro& macro : macros)
    if (macro.name == name && macro.member == member && macro.args == args && (bindings || macro.expand != bind)) return &macro;
  return nullptr;
}

}  // namespace estiba::cel
