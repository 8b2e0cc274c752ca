// The functions that expressions call: one table a library, of names, signatures and code.
#pragma once
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cel/memory.h"
#include "cel/type.h"

namespace estiba::cel {

class Authorizer;
class Regex;

/// What a function may use.
struct Context {
  Memory& memory;
  Authorizer* authorizer = nullptr;
  const Regex* regex = nullptr;  ///< the compiled pattern, when the call's is a literal
};

using Args = std::span<const Value>;
using NativeCode = Value (*)(Context&, Args);

/// How the cost of a call follows from its arguments (cost.h).
enum class CostRule : uint8_t {
  one,
  check,
  selector,
  traversal,
  text,
  text_twice,
  join,
  find,
  contains_ip,
  contains_ip_text,
  contains_cidr,
  contains_cidr_text,
  validate,
  equality,
  in_list,
  compare_texts,
  concat_texts,
  matches,
  contains,
  list_result,
  flatten,
  self_compare,
  self_compare_keys,
  sets_once,
  sets_twice,
};

struct Overload {
  std::string_view function, id;
  bool member;
  std::span<const Type* const> args;  ///< a member's target first
  const Type* result;
  NativeCode code;  ///< null for what the evaluator does itself (operators that do not evaluate every argument)
  CostRule cost;
  CostRule dynamic_cost;  ///< when the checker could not choose one overload
};

struct Function {
  std::string_view name;
  std::vector<Overload> overloads;
};

/// A row of a library's table. The signature is "string.(int, list(A)): bool", without "string." for no member.
struct Native {
  std::string_view function, id, signature;
  NativeCode code;
};

/// Which libraries an environment has beyond Kubernetes' base.
struct Features {
  bool bindings = false;  ///< cel.bind, for selectors of devices
  bool mutation = false;  ///< Object{…}, JSONPatch{…} and jsonpatch.escapeKey
  bool includes = false;  ///< x.includes(y), for selectors of devices
};

/// Null when no enabled library has it.
const Function* find_function(std::string_view name, const Features& features);
/// Whether the values fit the overload's parameters.
bool accepts(const Overload& overload, Args args);

namespace library {
std::span<const Native> arithmetic();
std::span<const Native> comparisons();
std::span<const Native> conversions();
std::span<const Native> standard();
std::span<const Native> times();
std::span<const Native> strings();
std::span<const Native> lists();
std::span<const Native> sets();
std::span<const Native> regex();
std::span<const Native> urls();
std::span<const Native> addresses();
std::span<const Native> quantities();
std::span<const Native> semvers();
std::span<const Native> formats();
std::span<const Native> authorization();
std::span<const Native> optionals();
}  // namespace library

}  // namespace estiba::cel
