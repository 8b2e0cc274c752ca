// < <= > >= == != and in; numbers compare across their types.
#include "cel/compare.h"
#include "cel/function.h"

namespace estiba::cel::library {

namespace {

enum class Op { less, less_equal, greater, greater_equal };

template <Op op>
Value ordered(Context&, Args a) {
  const auto order = compare(a[0], a[1]);
  if (!order) return Value::error("NaN values cannot be ordered");
  return Value::boolean(op == Op::less ? *order < 0 : op == Op::less_equal ? *order <= 0 : op == Op::greater ? *order > 0 : *order >= 0);
}

Value finished(Context& c, bool value) { return c.memory.exhausted() ? Memory::over_limit() : Value::boolean(value); }

Value equals(Context& c, Args a) { return finished(c, equal(c.memory, a[0], a[1])); }
Value not_equals(Context& c, Args a) { return finished(c, !equal(c.memory, a[0], a[1])); }

Value in_list(Context& c, Args a) {
  for (Items items(c.memory, a[1]); !items.done();)
    if (equal(c.memory, items.next(), a[0])) return finished(c, true);
  return finished(c, false);
}
Value in_map(Context& c, Args a) { return Value::boolean(c.memory.find(a[1], a[0]).has_value()); }

Value logical_not(Context&, Args a) { return Value::boolean(!a[0].as_bool()); }

// "less_int64", "less_int64_double", …: every pair of types that has an order.
#define ESTIBA_CEL_ORDER(symbol, name, op)                                                                                                \
  {symbol, name "_bool", "(bool,bool):bool", ordered<op>}, {symbol, name "_int64", "(int,int):bool", ordered<op>},                        \
      {symbol, name "_int64_double", "(int,double):bool", ordered<op>}, {symbol, name "_int64_uint64", "(int,uint):bool", ordered<op>},   \
      {symbol, name "_uint64", "(uint,uint):bool", ordered<op>}, {symbol, name "_uint64_double", "(uint,double):bool", ordered<op>},      \
      {symbol, name "_uint64_int64", "(uint,int):bool", ordered<op>}, {symbol, name "_double", "(double,double):bool", ordered<op>},      \
      {symbol, name "_double_int64", "(double,int):bool", ordered<op>},                                                                   \
      {symbol, name "_double_uint64", "(double,uint):bool", ordered<op>}, {symbol, name "_string", "(string,string):bool", ordered<op>},  \
      {symbol, name "_bytes", "(bytes,bytes):bool", ordered<op>}, {symbol, name "_timestamp", "(timestamp,timestamp):bool", ordered<op>}, \
  {                                                                                                                                       \
    symbol, name "_duration", "(duration,duration):bool", ordered<op>                                                                     \
  }

constexpr auto table = std::to_array<Native>({
    ESTIBA_CEL_ORDER("_<_", "less", Op::less),
    ESTIBA_CEL_ORDER("_<=_", "less_equals", Op::less_equal),
    ESTIBA_CEL_ORDER("_>_", "greater", Op::greater),
    ESTIBA_CEL_ORDER("_>=_", "greater_equals", Op::greater_equal),
    {"_==_", "equals", "(A,A):bool", equals},
    {"_!=_", "not_equals", "(A,A):bool", not_equals},
    {"@in", "in_list", "(A,list(A)):bool", in_list},
    {"@in", "in_map", "(A,map(A,B)):bool", in_map},
    {"!_", "logical_not", "(bool):bool", logical_not},
    {"_&&_", "logical_and", "(bool,bool):bool", nullptr},
    {"_||_", "logical_or", "(bool,bool):bool", nullptr},
    {"_?_:_", "conditional", "(bool,A,A):A", nullptr},
    {"@not_strictly_false", "not_strictly_false", "(bool):bool", nullptr},
    {"_[_]", "index_list", "(list(A),int):A", nullptr},
    {"_[_]", "index_map", "(map(A,B),A):B", nullptr},
    {"_[_]", "optional_list_index_int", "(optional_type(list(V)),int):optional_type(V)", nullptr},
    {"_[_]", "optional_map_index_value", "(optional_type(map(K,V)),K):optional_type(V)", nullptr},
    {"_[?_]", "list_optindex_optional_int", "(list(V),int):optional_type(V)", nullptr},
    {"_[?_]", "optional_list_optindex_optional_int", "(optional_type(list(V)),int):optional_type(V)", nullptr},
    {"_[?_]", "map_optindex_optional_value", "(map(K,V),K):optional_type(V)", nullptr},
    {"_[?_]", "optional_map_optindex_optional_value", "(optional_type(map(K,V)),K):optional_type(V)", nullptr},
});
#undef ESTIBA_CEL_ORDER

}  // namespace

std::span<const Native> comparisons() { return table; }

}  // namespace estiba::cel::library
