#include "cel/plan.h"

#include <algorithm>

#include "cel/compare.h"

namespace estiba::cel {

namespace {

class Planner {
 public:
  Planner(Plan& plan, const Variables& variables, bool fold)
      : plan_(plan), arena_(plan.constants->arena()), variables_(variables), fold_(fold) {}

  Step* run(const Expr& expr) { return plan(expr); }
  const std::string& error() const { return error_; }

 private:
  Step* make(StepKind kind) {
    Step* step = arena_.make<Step>();
    step->kind = kind;
    return step;
  }
  Step* constant(const Value& value) {
    Step* step = make(StepKind::constant);
    step->value = value;
    return step;
  }

  /// The tree goes; texts that it has made (from escapes) must not go with it.
  Step* literal(const Value& value) {
    if (value.is(Kind::string)) return constant(Value::string(arena_.keep(value.text())));
    return constant(value.is(Kind::bytes) ? Value::bytes(arena_.keep(value.text())) : value);
  }

  /// The first name of the attribute is not counted where it stands.
  static void uncount(Step* step) {
    switch (step->kind) {
      case StepKind::variable:
      case StepKind::local: step->counted = false; break;
      case StepKind::select:
      case StepKind::index:
        step->counted = false;
        if (!step->relative) uncount(step->operand);
        break;
      default: break;
    }
  }

  Step* plan(const Expr& expr) {
    switch (expr.kind) {
      case ExprKind::literal: return literal(expr.literal);
      case ExprKind::ident: return name(expr);
      case ExprKind::select: return expr.test_only ? has(expr) : select(plan(*expr.target), expr.name, false);
      case ExprKind::call: return call(expr);
      case ExprKind::list:
      case ExprKind::map: return aggregate(expr);
      case ExprKind::message: return message(expr);
      case ExprKind::fold: return fold(expr);
    }
    return nullptr;
  }

  Step* name(const Expr& expr) {
    if (expr.type_name) return constant(Value::type(expr.type->element()));
    std::string_view text = expr.name;
    const bool global = text.starts_with('.');
    if (global) text.remove_prefix(1);
    for (auto local = locals_.rbegin(); local != locals_.rend() && !global; ++local) {
      if (local->first != text) continue;
      Step* step = make(StepKind::local);
      step->slot = local->second;
      return step;
    }
    Step* step = make(StepKind::variable);
    step->slot = variables_.number(text);
    step->value = Value::string(arena_.keep(text));
    return step;
  }

  Step* select(Step* operand, std::string_view field, bool optional) {
    Step* step = make(StepKind::select);
    step->operand = operand;
    step->relative = !operand->is_attribute();
    step->optional = optional;
    step->value = Value::string(arena_.keep(field));
    return step;
  }

  Step* has(const Expr& expr) {
    Step* step = select(plan(*expr.target), expr.name, false);
    step->kind = StepKind::has;
    step->counted = false;
    if (!step->relative) uncount(step->operand);
    return step;
  }

  Step* index(const Expr& expr, bool optional) {
    Step* step = make(StepKind::index);
    step->operand = plan(*expr.args[0]);
    step->relative = !step->operand->is_attribute();
    step->optional = optional;
    Step* key = plan(*expr.args[1]);
    if (key->is_attribute()) uncount(key);
    step->args = steps({key});
    return step;
  }

  std::span<Step*> steps(const std::vector<Step*>& list) { return arena_.copy(list); }

  Step* call(const Expr& expr) {
    if (expr.name == op::opt_select) return select(plan(*expr.args[0]), expr.args[1]->literal.text(), true);
    if (expr.name == op::index || expr.name == op::opt_index) return index(expr, expr.name == op::opt_index);
    Step* step = make(StepKind::call);
    std::vector<Step*> args;
    if (expr.target) args.push_back(plan(*expr.target));
    for (const Expr* arg : expr.args) args.push_back(plan(*arg));
    step->args = steps(args);
    if (expr.name == op::logical_and) step->kind = StepKind::logical_and;
    else if (expr.name == op::logical_or) step->kind = StepKind::logical_or;
    else if (expr.name == op::not_strictly_false) step->kind = StepKind::not_strictly_false;
    else if (expr.name == op::conditional) step->kind = StepKind::conditional;
    else if (expr.overloads[0]->id == "optional_or_optional") step->kind = StepKind::optional_or;
    else if (expr.overloads[0]->id == "optional_orValue_value") step->kind = StepKind::optional_or_value;
    if (step->kind == StepKind::conditional)
      for (Step* branch : {args[1], args[2]})
        if (branch->is_attribute()) uncount(branch);
    if (step->kind != StepKind::call) return step;
    step->overloads = arena_.copy(std::span<const Overload* const>(expr.overloads));
    step->dynamic = expr.overloads.size() != 1;
    compile_regex(*step);
    return folded_conversion(step);
  }

  void compile_regex(Step& step) {
    const std::string_view function = step.overloads[0]->function;
    if ((function != "matches" && function != "find" && function != "findAll") || step.args[1]->kind != StepKind::constant ||
        !step.args[1]->value.is(Kind::string))
      return;
    auto regex = Regex::compile(step.args[1]->value.text());
    if (!regex) {
      if (error_.empty()) error_ = regex.error().message;
      return;
    }
    step.regex = &plan_.regexes.emplace_back(std::move(*regex));
  }

  Step* folded_conversion(Step* step) {
    static constexpr std::string_view conversions[] = {"bool", "bytes",  "double",    "duration", "dyn",
                                                       "int",  "string", "timestamp", "type",     "uint"};
    if (!fold_ || step->args.size() != 1 || step->args[0]->kind != StepKind::constant) return step;
    if (std::find(std::begin(conversions), std::end(conversions), step->overloads[0]->function) == std::end(conversions)) return step;
    const Value arg = step->args[0]->value;
    Context context{*plan_.constants};
    for (const Overload* overload : step->overloads) {
      if (!accepts(*overload, {&arg, 1})) continue;
      const Value value = overload->code(context, {&arg, 1});
      if (value.is_error() && error_.empty()) error_ = value.text();
      return constant(value);
    }
    return step;
  }

  Step* aggregate(const Expr& expr) {
    const bool list = expr.kind == ExprKind::list;
    Step* step = make(list ? StepKind::list : StepKind::map);
    std::vector<Step*> parts;
    for (const Expr* arg : expr.args) parts.push_back(plan(*arg));
    step->args = steps(parts);
    step->optionals = arena_.copy(std::span<const bool>(expr.optionals));
    const bool constants = std::all_of(parts.begin(), parts.end(), [](const Step* part) { return part->kind == StepKind::constant; });
    if (!fold_ || !constants || !expr.optionals.empty()) return step;
    Memory& memory = *plan_.constants;
    Value value = list ? Value::list(memory.new_list(uint32_t(parts.size())), 0) : memory.empty_map();
    for (size_t i = 0; i < parts.size() && !value.is_error(); i += list ? 1 : 2) {
      if (list) {
        value = memory.append(value, parts[i]->value);
        continue;
      }
      // What cannot be a key, or is there twice, is left to the evaluation.
      if (!is_key(parts[i]->value) || memory.find(value, parts[i]->value)) return step;
      value = memory.insert(value, parts[i]->value, parts[i + 1]->value);
    }
    return value.is_error() ? step : constant(value);
  }

  Step* message(const Expr& expr) {
    Step* step = make(StepKind::message);
    std::vector<Step*> parts;
    for (const Expr* arg : expr.args) parts.push_back(plan(*arg));
    step->args = steps(parts);
    step->optionals = arena_.copy(std::span<const bool>(expr.optionals));
    std::vector<std::string_view> names;
    for (const std::string_view field : expr.fields) names.push_back(arena_.keep(field));
    step->names = arena_.copy(names);
    step->type = expr.type;
    return step;
  }

  Step* fold(const Expr& expr) {
    const Fold& from = *expr.fold;
    Step* step = make(StepKind::fold);
    FoldStep* to = arena_.make<FoldStep>();
    step->fold = to;
    to->range = plan(*from.range);
    to->init = plan(*from.init);
    to->two_variables = !from.variable2.empty();
    to->binds = from.range->kind == ExprKind::list && from.range->args.empty();
    const size_t outside = locals_.size();
    // Every comprehension has slots of its own: what is computed late must not meet another one in them.
    to->accu = next_slot_++;
    to->first = next_slot_++;
    if (to->two_variables) next_slot_++;
    plan_.slots = std::max(plan_.slots, next_slot_);
    locals_.emplace_back(from.accu, to->accu);
    locals_.emplace_back(from.variable, to->first);
    if (to->two_variables) locals_.emplace_back(from.variable2, to->first + 1);
    to->condition = plan(*from.condition);
    to->step = plan(*from.step);
    locals_.resize(outside + 1);
    to->result = plan(*from.result);
    locals_.resize(outside);
    return step;
  }

  Plan& plan_;
  Arena& arena_;
  const Variables& variables_;
  bool fold_;
  std::string error_;
  std::vector<std::pair<std::string_view, uint32_t>> locals_;
  uint32_t next_slot_ = 0;
};

}  // namespace

Result<Plan> make_plan(const Expr& root, const Variables& variables, bool fold, Plan plan) {
  Planner planner(plan, variables, fold);
  plan.root = planner.run(root);
  if (!planner.error().empty()) return fail(Code::invalid, planner.error());
  return std::move(plan);
}

}  // namespace estiba::cel
