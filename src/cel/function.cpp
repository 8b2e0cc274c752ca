#include "cel/function.h"

#include <cstdlib>
#include <unordered_map>

#include "cel/cost.h"

namespace estiba::cel {

namespace {

class Registry {
 public:
  Registry() {
    for (const auto table : {library::arithmetic(), library::comparisons(), library::conversions(), library::standard(), library::times(),
                             library::strings(), library::lists(), library::sets(), library::regex(), library::urls(), library::addresses(),
                             library::quantities(), library::semvers(), library::formats(), library::authorization(), library::optionals()})
      for (const Native& native : table) add(native);
  }

  const Function* find(std::string_view name) const {
    const auto at = functions_.find(name);
    return at == functions_.end() ? nullptr : &at->second;
  }

 private:
  void add(const Native& native) {
    std::string_view text = native.signature;
    std::vector<const Type*>& args = args_.emplace_back();
    const size_t member = text.find(".(");
    if (member != std::string_view::npos) args.push_back(type(text.substr(0, member)));
    text.remove_prefix(member == std::string_view::npos ? 1 : member + 2);
    const size_t end = text.rfind("):");
    // Commas between parameters stand outside of parentheses.
    int depth = 0;
    size_t from = 0;
    for (size_t i = 0; i <= end; i++) {
      if (i < end && text[i] == '(') depth++;
      if (i < end && text[i] == ')') depth--;
      if (i < end && (text[i] != ',' || depth > 0)) continue;
      if (i > from) args.push_back(type(text.substr(from, i - from)));
      from = i + 1;
    }
    Overload overload{native.function, native.id,    member != std::string_view::npos, args, type(text.substr(end + 2)), native.code,
                      CostRule::one,   CostRule::one};
    overload.cost = cost_rule(overload);
    overload.dynamic_cost = dynamic_cost_rule(overload);
    Function& function = functions_[native.function];
    function.name = native.function;
    function.overloads.push_back(overload);
  }

  const Type* type(std::string_view text) {
    const Type* type = types_.parse(text);
    if (!type) abort();  // a typing error in a table; every test would show it
    return type;
  }

  TypePool types_;
  std::deque<std::vector<const Type*>> args_;
  std::unordered_map<std::string_view, Function> functions_;
};

}  // namespace

const Function* find_function(std::string_view name, const Features& features) {
  static const Registry& registry = *new Registry;
  if (name == "jsonpatch.escapeKey" && !features.mutation) return nullptr;
  if (name == "includes" && !features.includes) return nullptr;
  return registry.find(name);
}

static bool accepts(const Type& type, const Value& value) {
  switch (type.kind) {
    case TypeKind::boolean: return value.is(Kind::boolean);
    case TypeKind::integer: return value.is(Kind::integer);
    case TypeKind::uinteger: return value.is(Kind::uinteger);
    case TypeKind::real: return value.is(Kind::real);
    case TypeKind::string: return value.is(Kind::string);
    case TypeKind::bytes: return value.is(Kind::bytes);
    case TypeKind::duration: return value.is(Kind::duration);
    case TypeKind::timestamp: return value.is(Kind::timestamp);
    case TypeKind::list: return value.is(Kind::list);
    case TypeKind::map: return value.is(Kind::map);
    case TypeKind::optional: return value.is(Kind::optional);
    case TypeKind::type: return value.is(Kind::type);
    case TypeKind::null: return value.is(Kind::null);
    case TypeKind::opaque:
    case TypeKind::object: return value.is(Kind::object) && value.object_type() == &type;
    default: return true;
  }
}

bool accepts(const Overload& overload, Args args) {
  if (overload.args.size() != args.size()) return false;
  for (size_t i = 0; i < args.size(); i++)
    if (!accepts(*overload.args[i], args[i])) return false;
  return true;
}

}  // namespace estiba::cel
