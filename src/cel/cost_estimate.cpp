// The estimate: every node's least and greatest cost, with the sizes that schemas and literals promise.
#include <string>
#include <unordered_map>
#include <vector>

#include "cel/compare.h"
#include "cel/cost.h"

namespace estiba::cel {

namespace {

using Size = std::optional<Range>;

constexpr Range unknown_size{0, UINT64_MAX};
constexpr Range fixed(uint64_t value) { return {value, value}; }

/// The sizes of a container's keys and values.
struct Entries {
  bool list;
  Range key, value;
};

class Estimator {
 public:
  explicit Estimator(const VariableType& variables) : variables_(variables) {}

  Range cost(const Expr& expr) {
    switch (expr.kind) {
      case ExprKind::literal: return {};
      case ExprKind::ident: return ident(expr);
      case ExprKind::select: return select(expr);
      case ExprKind::call: return call(expr);
      case ExprKind::list: return list(expr);
      case ExprKind::map: return map(expr);
      case ExprKind::message: {
        Range sum = fixed(message_cost);
        for (const Expr* arg : expr.args) sum = sum + cost(*arg);
        return sum;
      }
      case ExprKind::fold: return is_bind(*expr.fold) ? bind(expr) : fold(expr);
    }
    return {};
  }

 private:
  /// Where a value is reached: the declared type there. `known` is false where no path leads.
  struct Place {
    bool known = false;
    const DeclType* decl = nullptr;
  };
  struct Local {
    std::string_view name;
    Place place;
    Size size;
    std::optional<Entries> entries;
  };

  const Local* local(std::string_view name) const {
    for (auto at = locals_.rbegin(); at != locals_.rend(); ++at)
      if (at->name == name) return &*at;
    return nullptr;
  }

  Place place(const Expr& expr) const {
    if (expr.kind == ExprKind::ident)
      if (const Local* found = local(expr.name)) return found->place;
    const auto at = places_.find(&expr);
    return at == places_.end() ? Place{} : at->second;
  }
  static Place below(const Place& from, const DeclType* decl) { return from.known ? Place{true, decl} : Place{}; }

  // Sizes.
  Size size(const Expr& expr) const {
    if (const auto at = sizes_.find(&expr); at != sizes_.end()) return at->second;
    switch (expr.kind) {
      case ExprKind::literal:
        if (expr.literal.is(Kind::string)) return fixed(code_points(expr.literal.text()));
        if (expr.literal.is(Kind::bytes)) return fixed(expr.literal.count());
        return fixed(1);
      case ExprKind::list: return fixed(expr.args.size());
      case ExprKind::map: return fixed(expr.args.size() / 2);
      default: break;
    }
    if (const Place at = place(expr); at.known && at.decl) return Range{0, uint64_t(at.decl->max_elements)};
    if (is_scalar(expr.type)) return fixed(1);
    if (expr.kind == ExprKind::ident)
      if (const Local* found = local(expr.name); found && found->size) return found->size;
    return std::nullopt;
  }
  Range size_or_unknown(const Expr& expr) const { return size(expr).value_or(unknown_size); }
  static bool is_scalar(const Type* type) {
    switch (type->kind) {
      case TypeKind::boolean:
      case TypeKind::real:
      case TypeKind::duration:
      case TypeKind::integer:
      case TypeKind::timestamp:
      case TypeKind::uinteger: return true;
      case TypeKind::optional: return is_scalar(type->element());
      default: return false;
    }
  }
  std::optional<Entries> entries(const Expr& expr) const {
    if (const auto at = entries_.find(&expr); at != entries_.end()) return at->second;
    if (expr.kind == ExprKind::ident)
      if (const Local* found = local(expr.name)) return found->entries;
    return std::nullopt;
  }
  void set_size(const Expr& expr, Size size) {
    if (size) sizes_.insert_or_assign(&expr, *size);
  }

  Range ident(const Expr& expr) {
    if (const Local* found = local(expr.name)) places_[&expr] = found->place;
    else if (const DeclType* decl = variables_(expr.name)) places_[&expr] = {true, decl};
    return fixed(1);
  }

  Range select(const Expr& expr) {
    const Range operand = cost(*expr.target);
    if (expr.test_only) return operand;
    const Place from = place(*expr.target);
    const DeclField* field = from.decl && from.decl->form == DeclForm::object ? from.decl->find(expr.name) : nullptr;
    places_[&expr] = field ? Place{true, field->type} : Place{};
    const TypeKind kind = expr.target->type->kind;
    const bool counts = kind == TypeKind::map || kind == TypeKind::object || kind == TypeKind::param;
    return counts ? operand + fixed(1) : operand;
  }

  Range list(const Expr& expr) {
    Range sum = fixed(list_cost), item = expr.args.empty() ? Range{} : Range{UINT64_MAX, 0};
    for (const Expr* arg : expr.args) {
      sum = sum + cost(*arg);
      item = item.joined(size_or_unknown(*arg));
    }
    entries_[&expr] = {true, fixed(1), item};
    return sum;
  }

  Range map(const Expr& expr) {
    Range sum = fixed(map_cost), key = expr.args.empty() ? Range{} : Range{UINT64_MAX, 0}, value = key;
    for (size_t i = 0; i + 1 < expr.args.size(); i += 2) {
      sum = sum + cost(*expr.args[i]) + cost(*expr.args[i + 1]);
      key = key.joined(size_or_unknown(*expr.args[i]));
      value = value.joined(size_or_unknown(*expr.args[i + 1]));
    }
    entries_[&expr] = {false, key, value};
    return sum;
  }

  static bool is_bind(const Fold& fold) {
    return fold.range->kind == ExprKind::list && fold.range->args.empty() && fold.condition->kind == ExprKind::literal &&
           fold.condition->literal.is_false();
  }

  Range bind(const Expr& expr) {
    const Fold& fold = *expr.fold;
    const Range sum = cost(*fold.range) + cost(*fold.init);
    locals_.push_back({fold.accu, place(*fold.init), size(*fold.init), entries(*fold.init)});
    const Range result = cost(*fold.result);
    locals_.pop_back();
    set_size(expr, size(*fold.result));
    if (const auto found = entries(*fold.result)) entries_.insert_or_assign(&expr, *found);
    return sum + result;
  }

  Range fold(const Expr& expr) {
    const Fold& fold = *expr.fold;
    Range sum = cost(*fold.range) + cost(*fold.init);
    const size_t outside = locals_.size();
    // cel-go knows no path of an accumulator.
    locals_.push_back({fold.accu, {}, size(*fold.init), entries(*fold.init)});
    const std::optional<Entries> inner = entries(*fold.range);
    const bool list = inner ? inner->list : fold.range->type->kind == TypeKind::list;
    const Place range = place(*fold.range);
    const Place item = below(range, range.decl ? range.decl->element : nullptr), key = below(range, range.decl ? range.decl->key : nullptr);
    const Size key_size = inner ? Size(inner->key) : std::nullopt, item_size = inner ? Size(inner->value) : std::nullopt;
    if (fold.variable2.empty()) {
      locals_.push_back(list ? Local{fold.variable, item, item_size, {}} : Local{fold.variable, key, key_size, {}});
    } else {
      locals_.push_back({fold.variable, list ? Place{} : key, key_size, {}});
      locals_.push_back({fold.variable2, item, item_size, {}});
    }
    const Range condition = cost(*fold.condition), step = cost(*fold.step);
    locals_.resize(outside + 1);
    sum = sum + cost(*fold.result);
    locals_.resize(outside);
    const Range count = size_or_unknown(*fold.range);
    sum = sum + count * (step + condition);
    if (fold.init->kind == ExprKind::literal) {
      set_size(expr, size(*fold.init));
    } else if (fold.init->kind == ExprKind::list || fold.init->kind == ExprKind::map) {
      set_size(expr, count);
      if (const auto found = entries(*fold.step)) entries_.insert_or_assign(&expr, *found);
    }
    return sum;
  }

  struct CallCost {
    Range cost;
    Size result{};
  };

  Range call(const Expr& expr) {
    if (expr.name == op::opt_select) {
      // The operand, and the selection itself; nothing is known of what lies behind.
      return cost(*expr.args[0]) + fixed(1);
    }
    if (expr.name == "dyn") {
      const Range arg = cost(*expr.args[0]);
      set_size(expr, size(*expr.args[0]));
      if (const auto found = entries(*expr.args[0])) entries_.insert_or_assign(&expr, *found);
      return fixed(1) + arg;
    }
    std::vector<Range> arg_costs;
    for (const Expr* arg : expr.args) arg_costs.push_back(cost(*arg));
    if (expr.overloads.empty()) return {};
    Range sum = expr.target ? cost(*expr.target) : Range{};
    Range all{UINT64_MAX, 0};
    Size result;
    for (const Overload* overload : expr.overloads) {
      const CallCost one = overload_cost(expr, *overload, arg_costs);
      all = all.joined(one.cost);
      if (one.result) result = result ? result->joined(*one.result) : *one.result;
      if (overload->id == "index_list" || overload->id == "index_map") {
        const auto found = entries(*expr.args[0]);
        result = found ? Size(found->value) : std::nullopt;
        const Place from = place(*expr.args[0]);
        places_[&expr] = below(from, from.decl ? from.decl->element : nullptr);
      }
      if (!result) result = size(expr);
    }
    set_size(expr, result);
    return sum + all;
  }

  CallCost overload_cost(const Expr& expr, const Overload& overload, const std::vector<Range>& arg_costs) {
    Range args;
    for (const Range& each : arg_costs) args = args + each;
    if (overload.function == op::logical_and || overload.function == op::logical_or)
      return {{arg_costs[0].min, (arg_costs[0] + arg_costs[1]).max}};
    if (overload.function == op::conditional) {
      const auto yes = entries(*expr.args[1]), no = entries(*expr.args[2]);
      if (yes && no) entries_[&expr] = {yes->list, yes->key.joined(no->key), yes->value.joined(no->value)};
      return {arg_costs[0] + arg_costs[1].joined(arg_costs[2]), size_or_unknown(*expr.args[1]).joined(size_or_unknown(*expr.args[2]))};
    }
    CallCost own = function_cost(expr, overload);
    own.cost = own.cost + args;
    return own;
  }

  /// The target's size, that of an argument.
  Range target(const Expr& expr) const { return size_or_unknown(*expr.target); }
  Range arg(const Expr& expr, size_t i) const { return size_or_unknown(*expr.args[i]); }

  CallCost function_cost(const Expr& expr, const Overload& overload) {
    const bool member = expr.target != nullptr;
    switch (overload.cost) {
      case CostRule::one: return {overload.id == "add_list" ? added(expr, false) : CallCost{fixed(1)}};
      case CostRule::check: return {fixed(350'000)};
      case CostRule::selector: {
        const Range length = arg(expr, 0);
        return {fixed(list_cost) + length.scaled(text_factor) + length.scaled(0.5).scaled(double(list_cost + message_cost))};
      }
      case CostRule::traversal: return {traversal(expr)};
      case CostRule::text: return text(expr, overload);
      case CostRule::text_twice: return twice(expr, overload);
      case CostRule::join: return joined(expr);
      case CostRule::find: {
        const Range subject = target(expr);
        return {(subject + fixed(1)).scaled(text_factor) * arg(expr, 0).scaled(regex_factor), Range{0, subject.max}};
      }
      case CostRule::matches: return {(target(expr) + fixed(1)).scaled(text_factor) * arg(expr, 0).scaled(regex_factor)};
      case CostRule::contains: return {target(expr).scaled(text_factor) * arg(expr, 0).scaled(text_factor)};
      case CostRule::contains_ip:
      case CostRule::contains_ip_text: {
        const Range cost = Range{8, 32}.scaled(text_factor);
        return {overload.cost == CostRule::contains_ip ? cost : cost + arg(expr, 0).scaled(text_factor)};
      }
      case CostRule::contains_cidr:
      case CostRule::contains_cidr_text: {
        const Range cost = Range{8, 32}.scaled(text_factor) + Range{4, 16}.scaled(text_factor) + fixed(1);
        return {overload.cost == CostRule::contains_cidr ? cost : cost + arg(expr, 0).scaled(text_factor)};
      }
      case CostRule::validate: return {arg(expr, 0).scaled(text_factor).scaled(128 * regex_factor)};
      case CostRule::equality: return {equality(expr)};
      case CostRule::compare_texts: return {shorter(expr)};
      case CostRule::in_list: return {arg(expr, 1)};
      case CostRule::concat_texts: return added(expr, true);
      case CostRule::list_result: return list_result(expr, overload);
      case CostRule::flatten: {
        const uint64_t depth = expr.args.empty() ? 1 : whole(*expr.args[0], UINT64_MAX);
        return allocated(double(depth), target(expr));
      }
      case CostRule::self_compare:
      case CostRule::self_compare_keys: {
        const Range count = overload.cost == CostRule::self_compare ? target(expr) : arg(expr, 0);
        const bool texts = overload.id.starts_with("list_string") || overload.id.starts_with("list_bytes");
        return allocated(texts ? 2 + text_factor : 2, count * count);
      }
      case CostRule::sets_once: return {(arg(expr, 0) * arg(expr, 1)) + fixed(1)};
      case CostRule::sets_twice: return {(arg(expr, 0) * arg(expr, 1)).scaled(2) + fixed(1)};
    }
    return {member ? fixed(1) : fixed(1)};
  }

  static CallCost allocated(double factor, Range size) { return {size.scaled(factor) + fixed(1 + list_cost), size}; }

  static uint64_t whole(const Expr& expr, uint64_t otherwise) {
    if (expr.kind != ExprKind::literal || !expr.literal.is(Kind::integer)) return otherwise;
    return uint64_t(std::max<int64_t>(expr.literal.as_int(), 0));
  }

  CallCost list_result(const Expr& expr, const Overload& overload) {
    if (overload.id == "list_reverse") return allocated(1, target(expr));
    if (overload.id == "lists_range") return allocated(1, fixed(whole(*expr.args[0], UINT64_MAX)));
    const uint64_t from = whole(*expr.args[0], 0), to = whole(*expr.args[1], target(expr).max);
    return allocated(1, fixed(to - from));
  }

  Range traversal(const Expr& expr) {
    const Type* type = expr.target->type;
    if (type->kind != TypeKind::list) return target(expr).scaled(text_factor);
    Range item = fixed(1);
    const TypeKind kind = type->element()->kind;
    if (kind == TypeKind::string || kind == TypeKind::bytes) item = item + item_size(*expr.target).scaled(text_factor);
    return target(expr) * item;
  }

  /// What the schema says of a list's items; literals say nothing here, as in Kubernetes.
  Range item_size(const Expr& list) const {
    const Place at = place(list);
    const DeclType* decl = at.known && at.decl ? at.decl->element : nullptr;
    return decl ? Range{0, uint64_t(decl->max_elements)} : unknown_size;
  }

  CallCost text(const Expr& expr, const Overload& overload) {
    const std::string_view id = overload.id, f = overload.function;
    const Range subject = expr.target && f != "startsWith" && f != "endsWith" ? target(expr) : arg(expr, 0);
    CallCost out{subject.scaled(text_factor)};
    if (f == "url" || f == "jsonpatch.escapeKey" || f == "lowerAscii" || f == "upperAscii" || f == "substring" || f == "trim")
      out.result = subject;
    if (id == "string_to_bytes") out.result = Range{subject.min, subject.max > UINT64_MAX / 4 ? UINT64_MAX : subject.max * 4};
    if (id == "bytes_to_string") out.result = Range{subject.min / 4, subject.max};
    if (id == "strings_quote") out.result = subject.scaled(1) + Range{2, 2} + Range{0, subject.max};
    return out;
  }

  CallCost twice(const Expr& expr, const Overload& overload) {
    if (overload.function == "ip.isCanonical") return {arg(expr, 0).scaled(2 * text_factor)};
    const Range subject = target(expr);
    CallCost out{subject.scaled(2 * text_factor)};
    if (overload.function == "replace") {
      out.result = replaced(subject, arg(expr, 0), arg(expr, 1));
    } else {
      uint64_t most = subject.max;
      if (expr.args.size() > 1 && expr.args[1]->kind == ExprKind::literal && expr.args[1]->literal.is(Kind::integer))
        most = uint64_t(expr.args[1]->literal.as_int());
      out.result = Range{0, most};
    }
    return out;
  }

  /// How long a text can get when parts of it are replaced.
  static Range replaced(Range subject, Range old, Range by) {
    const auto more = [](uint64_t n) { return n == UINT64_MAX ? n : n + 1; };
    const auto divided = [](uint64_t n, uint64_t by_n) { return n / by_n + (n % by_n != 0); };
    Range count, kept;
    if (old.min == 0) {
      count.max = more(subject.max);
      kept.max = subject.max;
    } else if (by.max <= old.min) {
      kept.max = subject.max;
    } else {
      count.max = divided(subject.max, old.min);
    }
    if (old.max == 0) {
      count.min = more(subject.min);
      kept.min = subject.min;
    } else if (old.max <= by.min) {
      kept.min = subject.min;
    } else {
      count.min = divided(subject.min, old.max);
    }
    return count * by + kept;
  }

  CallCost joined(const Expr& expr) {
    const Range count = target(expr);
    Range length = count * item_size(*expr.target);
    if (!expr.args.empty()) length = length + arg(expr, 0) * Range{count.min > 0 ? count.min - 1 : 0, count.max > 0 ? count.max - 1 : 0};
    return {length.scaled(text_factor), length};
  }

  CallCost added(const Expr& expr, bool texts) {
    const Range length = arg(expr, 0) + arg(expr, 1);
    const auto a = entries(*expr.args[0]), b = entries(*expr.args[1]);
    if (a && b) entries_[&expr] = {a->list, a->key.joined(b->key), a->value.joined(b->value)};
    return {texts ? length.scaled(text_factor) : fixed(1), length};
  }

  Range shorter(const Expr& expr) const {
    const uint64_t most = std::min(arg(expr, 0).max, arg(expr, 1).max);
    return Range{most > 0 ? 1u : 0u, most}.scaled(text_factor);
  }

  Range equality(const Expr& expr) const {
    const Type *a = expr.args[0]->type, *b = expr.args[1]->type;
    if (expr.name != op::equals || a != b) return shorter(expr);
    if (a == &types::format) return Range{1, 64}.scaled(text_factor);
    if (a == &types::url) {
      const Size known = size(*expr.args[1]);
      return Range{1, known ? known->max : 1}.scaled(text_factor);
    }
    const bool constant = a == &types::ip || a == &types::cidr || a == &types::quantity || a == &types::semver || a == &types::authorizer ||
                          a == &types::path_check || a == &types::group_check || a == &types::resource_check || a == &types::decision;
    return constant ? fixed(1) : shorter(expr);
  }

  const VariableType& variables_;
  std::vector<Local> locals_;
  std::unordered_map<const Expr*, Place> places_;
  std::unordered_map<const Expr*, Range> sizes_;
  std::unordered_map<const Expr*, Entries> entries_;
};

}  // namespace

Range estimate_cost(const Expr& expr, const VariableType& variables) { return Estimator(variables).cost(expr); }

}  // namespace estiba::cel
