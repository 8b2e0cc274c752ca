#include "cel/validate.h"

#include "base/go_duration.h"
#include "cel/regex/regex.h"
#include "cel/time.h"

namespace estiba::cel {

namespace {

class Validator {
 public:
  explicit Validator(Issues& issues) : issues_(issues) {}

  void visit(const Expr& expr, bool exempt) {
    if (expr.kind == ExprKind::call) literal_argument(expr);
    if (!exempt && expr.kind == ExprKind::list) same_types(expr, 0, 1);
    if (!exempt && expr.kind == ExprKind::map) {
      same_types(expr, 0, 2);
      same_types(expr, 1, 2);
    }
    exempt |= expr.kind == ExprKind::call && expr.name == "format";
    if (expr.target) visit(*expr.target, exempt);
    for (const Expr* arg : expr.args) visit(*arg, exempt);
    if (const Fold* fold = expr.fold)
      for (const Expr* part : {fold->range, fold->init, fold->condition, fold->step, fold->result}) visit(*part, exempt);
  }

 private:
  void literal_argument(const Expr& call) {
    if (call.args.empty()) return;
    const Expr& arg = call.target || call.args.size() == 1 ? *call.args[0] : *call.args[1];
    if (arg.kind == ExprKind::literal && arg.literal.is(Kind::integer) && call.name == "timestamp" &&
        (arg.literal.as_int() < min_seconds || arg.literal.as_int() > max_seconds))
      refuse(arg, call.name);
    if (arg.kind != ExprKind::literal || !arg.literal.is(Kind::string)) return;
    const std::string_view text = arg.literal.text();
    if (call.name == "duration" && !parse_go_duration(text)) refuse(arg, call.name);
    if (call.name == "timestamp") {
      const auto time = parse_timestamp(text);
      if (!time || time->seconds < min_seconds || time->seconds > max_seconds) refuse(arg, call.name);
    }
    if (call.name == "matches" && !Regex::compile(text)) refuse(arg, call.name);
  }
  void refuse(const Expr& arg, std::string_view function) {
    issues_.push_back({arg.position, "invalid " + std::string(function) + " argument"});
  }

  static bool same(const Type* a, const Type* b) {
    if (a == b) return true;
    if (a->kind != b->kind || a->parameters.size() != b->parameters.size()) return false;
    if (a->kind != TypeKind::param && a->name != b->name) return false;
    for (size_t i = 0; i < a->parameters.size(); i++)
      if (!same(a->parameters[i], b->parameters[i])) return false;
    return true;
  }

  /// Of the elements first, first + step, ….
  void same_types(const Expr& expr, size_t first, size_t step) {
    const Type* expected = nullptr;
    for (size_t i = first; i < expr.args.size(); i += step) {
      const Type* type = expr.args[i]->type;
      const bool value = step == 1 || first == 1;
      if (value && expr.optional_at(i / step) && type->kind == TypeKind::optional) type = type->element();
      if (!expected) expected = type;
      if (same(expected, type)) continue;
      issues_.push_back({expr.args[i]->position, "expected type '" + to_string(*expected) + "' but found '" + to_string(*type) + "'"});
      if (step == 1) return;
    }
  }

  Issues& issues_;
};

}  // namespace

void validate(const Expr& root, Issues& issues) { Validator(issues).visit(root, false); }

}  // namespace estiba::cel
