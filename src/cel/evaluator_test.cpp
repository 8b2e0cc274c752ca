#include <gtest/gtest.h>

#include "cel/testing/expressions.h"

namespace estiba::cel {

using testing::Expressions;

TEST(CelEvaluator, LogicAbsorbsErrors) {
  Expressions e;
  EXPECT_EQ(e.value("1 / 0 > 1 || true"), "true");
  EXPECT_EQ(e.value("true || 1 / 0 > 1"), "true");
  EXPECT_EQ(e.value("1 / 0 > 1 && false"), "false");
  EXPECT_EQ(e.value("1 / 0 > 1 || false"), "error: division by zero");
  EXPECT_EQ(e.value("[1, 0].exists(x, 2 / x == 2)"), "true");
  EXPECT_EQ(e.value("[1, 0].all(x, 2 / x == 3)"), "false");
  EXPECT_EQ(e.value("[0, 1].all(x, 2 / x == 2)"), "error: division by zero");
}

TEST(CelEvaluator, ArithmeticIsChecked) {
  Expressions e;
  EXPECT_EQ(e.value("9223372036854775807 + 1"), "error: integer overflow");
  EXPECT_EQ(e.value("-(-9223372036854775808)"), "error: integer overflow");
  EXPECT_EQ(e.value("0u - 1u"), "error: unsigned integer overflow");
  EXPECT_EQ(e.value("-9223372036854775808 / -1"), "error: integer overflow");
  EXPECT_EQ(e.value("5 % 0"), "error: modulus by zero");
  EXPECT_EQ(e.value("-7 % 3"), "-1");
  EXPECT_EQ(e.value("1.0 / 0.0"), "+Inf");
  EXPECT_EQ(e.value("int(1e30)"), "issue: integer overflow");
  EXPECT_EQ(e.value("[1e30].map(x, int(x))"), "error: integer overflow");
}

TEST(CelEvaluator, ComparesAcrossNumbers) {
  Expressions e;
  EXPECT_EQ(e.truth("1 == dyn(1.0) && 1 == dyn(1u) && 1 < 1.5 && 2u > 1 && 3 != dyn(3.5) && -1 < 1u && 18446744073709551615u > 1.0"), "ok");
  EXPECT_EQ(e.truth("dyn(1) != dyn('1') && null != dyn(1) && [1] == [dyn(1.0)]"), "ok");
  EXPECT_EQ(e.truth("{'a': 1} == {'a': dyn(1u)} && !({'a': 1} == {'b': 1})"), "ok");
  EXPECT_EQ(e.truth("{1: 'a'}[dyn(1.0)] == 'a' && 1u in {dyn(1): true}"), "ok");
  EXPECT_EQ(e.truth("double('NaN') != double('NaN')"), "ok");
  EXPECT_EQ(e.value("dyn(1) < dyn('a')"), "error: no such overload");
  EXPECT_EQ(e.truth("b'a' < b'b' && 'a' < 'b' && false < true && duration('1s') < duration('1m')"), "ok");
}

TEST(CelEvaluator, FieldsKeysAndIndexes) {
  Expressions e;
  e.json("x", R"({"a": {"b": [1, 2.5, "s", null, true]}, "n": 3})");
  EXPECT_EQ(e.value("x.a.b"), "[1, 2.5, \"s\", null, true]");
  EXPECT_EQ(e.value("x.a.c"), "error: no such key: c");
  EXPECT_EQ(e.value("x['a']['b'][2]"), "\"s\"");
  EXPECT_EQ(e.value("x.a.b[5]"), "error: index out of bounds: 5");
  EXPECT_EQ(e.value("x.a.b['q']"), "error: unsupported index type 'string' in list");
  EXPECT_EQ(e.value("has(x.a.b) && !has(x.a.c)"), "true");
  EXPECT_EQ(e.value("has(x.z.c)"), "error: no such key: z");
  EXPECT_EQ(e.value("'a' in x && !('q' in x) && 1 in x.a.b"), "true");
  EXPECT_EQ(e.value("size(x.a.b) + x.size()"), "7");
  EXPECT_EQ(e.value("x.n.foo"), "error: no such key: foo");
  EXPECT_EQ(e.value("[1, 2][-1]"), "error: index out of bounds: -1");
}

TEST(CelEvaluator, Optionals) {
  Expressions e;
  e.json("x", R"({"a": {"b": 1}})");
  EXPECT_EQ(e.value("x.?a.b"), "optional(1)");
  EXPECT_EQ(e.value("x.?z.b.c"), "none");
  EXPECT_EQ(e.value("x.?z.orValue(7)"), "7");
  EXPECT_EQ(e.value("x[?'a'].?b.hasValue()"), "true");
  EXPECT_EQ(e.value("[1, 2][?5].or(optional.of(3)).value()"), "3");
  EXPECT_EQ(e.value("[?x.?z, ?x.?a.b]"), "[1]");
  EXPECT_EQ(e.value("{?'p': x.?z, ?'q': x.?a.b}"), "{\"q\": 1}");
  EXPECT_EQ(e.value("optional.none().value()"), "error: optional.none() dereference");
  EXPECT_EQ(e.value("optional.ofNonZeroValue('').hasValue()"), "false");
  EXPECT_EQ(e.value("x.?a.b.optMap(v, v + 1)"), "optional(2)");
  EXPECT_EQ(e.value("x.?a.optFlatMap(v, v.?q)"), "none");
  EXPECT_EQ(e.value("optional.unwrap([optional.of(1), optional.none()])"), "[1]");
  EXPECT_EQ(e.value("optional.of(1) == optional.of(1) && optional.none() != optional.of(1)"), "true");
  EXPECT_EQ(e.value("[3, 4].first().value() + [3, 4].last().value()"), "7");
}

TEST(CelEvaluator, Comprehensions) {
  Expressions e;
  e.json("m", R"({"a": 1, "b": 2, "c": 3})");
  EXPECT_EQ(e.value("m.map(k, m[k] * 2)"), "[2, 4, 6]");
  EXPECT_EQ(e.value("m.filter(k, m[k] > 1)"), "[\"b\", \"c\"]");
  EXPECT_EQ(e.value("[1, 2, 3].map(x, x > 1, x * x)"), "[4, 9]");
  EXPECT_EQ(e.value("[1, 2, 2].exists_one(x, x == 2)"), "false");
  EXPECT_EQ(e.value("[1, 2].existsOne(x, x == 2)"), "true");
  EXPECT_EQ(e.value("m.all(k, v, v < 4 && k != 'z')"), "true");
  EXPECT_EQ(e.value("[5, 6].transformList(i, v, i * v)"), "[0, 6]");
  EXPECT_EQ(e.value("m.transformMap(k, v, v > 1, v * 10)"), "{\"b\": 20, \"c\": 30}");
  EXPECT_EQ(e.value("['x', 'y'].transformMapEntry(i, v, {v: i})"), "{\"x\": 0, \"y\": 1}");
  EXPECT_EQ(e.value("['x', 'x'].transformMapEntry(i, v, {v: i})"), "error: insert failed: key x already exists");
  EXPECT_EQ(e.value("[[1, 2], [3]].map(l, l.map(x, x + l[0]))"), "[[2, 3], [6]]");
  EXPECT_EQ(e.value("[1].map(x, [2].map(x, x) + [x])"), "[[2, 1]]");
}

TEST(CelEvaluator, BindComputesWhenAsked) {
  Expressions e({.bindings = true});
  EXPECT_EQ(e.value("cel.bind(x, 1 / 0, true)"), "true");
  EXPECT_EQ(e.value("cel.bind(x, [1, 2].map(y, y * 2), x.map(z, x.size() + z))"), "[4, 6]");
  EXPECT_EQ(e.value("cel.bind(x, [3, 4].map(y, cel.bind(z, y + 1, z)), [1].map(q, x))"), "[[4, 5]]");
}

TEST(CelEvaluator, ConversionsAndTypes) {
  Expressions e;
  EXPECT_EQ(e.truth("string(1.5) == '1.5' && string(true) == 'true' && string(b'ab') == 'ab' && string(1e6) == '1e+06'"), "ok");
  EXPECT_EQ(e.truth("int('-12') == -12 && uint('7') == 7u && double('1.5') == 1.5 && bool('T') && bytes('é').size() == 2"), "ok");
  EXPECT_EQ(e.value("['x'].map(s, int(s))"), "error: type conversion error from 'string' to 'int'");
  EXPECT_EQ(e.value("string(b'\\xff')"), "issue: invalid UTF-8 in bytes, cannot convert to string");
  EXPECT_EQ(e.truth("type(1) == int && type('a') == string && type(null) == null_type && type([]) == list && type({}) == map"), "ok");
  EXPECT_EQ(e.truth("type(timestamp(0)) == google.protobuf.Timestamp && type(type(1)) == type && type(ip('::1')) == net.IP"), "ok");
}

TEST(CelEvaluator, TypedValuesFollowTheirSchema) {
  Expressions e;
  e.typed("self", R"({"type": "object", "properties": {
      "namespace": {"type": "string"}, "a-b": {"type": "integer"}, "c.d": {"type": "integer"}, "x__y": {"type": "integer"},
      "port": {"x-kubernetes-int-or-string": true}, "d": {"type": "string", "format": "duration"},
      "t": {"type": "string", "format": "date-time"}, "b": {"type": "string", "format": "byte"}, "f": {"type": "number"},
      "gone": {"type": "string", "nullable": true}, "m": {"type": "object", "additionalProperties": {"type": "integer"}},
      "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
      "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
               "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}}}}})",
          R"({"namespace": "ns", "a-b": 1, "c.d": 2, "x__y": 3, "port": 80, "d": "1h", "t": "2020-01-01T00:00:00Z", "b": "YWI=", "f": 2,
              "gone": null, "m": {"a-b": 5}, "set": ["x", "y"], "list": [{"k": "a", "v": 1}, {"k": "b", "v": 2}]})");
  e.json("other", R"({"set": ["y", "x"], "list": [{"k": "b", "v": 2}, {"k": "a", "v": 1}]})");
  EXPECT_EQ(e.value("[self.__namespace__]"), "[\"ns\"]");
  EXPECT_EQ(e.value("[self.a__dash__b, self.c__dot__d, self.x__underscores__y]"), "[1, 2, 3]");
  EXPECT_EQ(e.truth("self.port == 80 && type(self.port) == int && self.d == duration('60m') && self.t.getFullYear() == 2020"), "ok");
  EXPECT_EQ(e.truth("self.b == b'ab' && self.f == 2.0 && !has(self.gone) && self.m['a-b'] == 5 && self.m.a == 5 || true"), "ok");
  EXPECT_EQ(e.truth("self.set == other.set && self.list == other.list && !(other.set == dyn(['x', 'y']))"), "ok");
}

TEST(CelEvaluator, ObjectsAreEqualByWhatTheirSchemaSays) {
  Expressions e;
  constexpr std::string_view schema =
      R"({"type": "object", "properties": {"a-b": {"type": "integer"}, "t": {"type": "string", "format": "date-time"}}})";
  e.typed("self", schema, R"({"a-b": 1, "t": "2020-01-01T00:00:00Z", "kept": {"x": [1]}})");
  e.typed("same", schema, R"({"t": "2020-01-01T01:00:00+01:00", "kept": {"x": [1]}, "a-b": 1})");
  e.typed("other", schema, R"({"a-b": 1, "t": "2020-01-01T00:00:00Z", "kept": {"x": [2]}})");
  EXPECT_EQ(e.truth("dyn(self) == dyn(same) && dyn(self) != dyn(other) && dyn(same) == dyn(self)"), "ok");
}

TEST(CelEvaluator, StopsWhatCostsTooMuch) {
  Expressions e;
  const std::string limit = "error: operation cancelled: actual cost limit exceeded";
  EXPECT_EQ(e.value("lists.range(100000).all(x, lists.range(100000).all(y, true))"), limit);
  EXPECT_EQ(e.value("lists.range(100000000).size() > 0 || true"), limit);
  std::string doubling = "[0, 0]";
  for (int i = 0; i < 40; i++) doubling = "[" + doubling + "].map(x, x + x)[0]";
  EXPECT_EQ(e.value(doubling + ".size()"), limit);
  std::string text = "'0123456789'";
  for (int i = 0; i < 40; i++) text = "[" + text + "].map(x, x + x)[0]";
  EXPECT_EQ(e.value(text + ".size()"), limit);
}

TEST(CelEvaluator, LongDocumentsAreIndexed) {
  Expressions e;
  std::string json = "{";
  for (int i = 0; i < 20000; i++) json += (i ? "," : "") + std::string("\"k") + std::to_string(i) + "\":" + std::to_string(i);
  e.json("m", json + "}");
  EXPECT_EQ(e.value("m.all(k, m[k] >= 0)"), "true");
  std::string list = "[";
  for (int i = 0; i < 20000; i++) list += (i ? "," : "") + std::to_string(i);
  e.json("l", list + "]");
  EXPECT_EQ(e.value("lists.range(l.size()).all(i, l[i] == i)"), "true");
}

}  // namespace estiba::cel
