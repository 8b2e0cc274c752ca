#include <gtest/gtest.h>

#include "cel/testing/expressions.h"

namespace estiba::cel {

using testing::Expressions;

static std::string type_of(const Expressions& e, std::string_view text) {
  auto program = compile(text, e.environment);
  return program ? to_string(program->type()) : program.error().issues[0].message;
}

TEST(CelChecker, InfersTypes) {
  Expressions e;
  e.json("x", "{}");
  EXPECT_EQ(type_of(e, "[1, 2].map(i, string(i))"), "list(string)");
  EXPECT_EQ(type_of(e, "{'a': [1.0]}"), "map(string, list(double))");
  EXPECT_EQ(type_of(e, "[]"), "list(dyn)");
  EXPECT_EQ(type_of(e, "x.y.z"), "dyn");
  EXPECT_EQ(type_of(e, "optional.of([1])[?0]"), "optional_type(int)");
  EXPECT_EQ(type_of(e, "{'k': 1}.?k.orValue(2)"), "int");
  EXPECT_EQ(type_of(e, "type(1) == int"), "bool");
  EXPECT_EQ(type_of(e, "[[1], []].flatten()"), "list(int)");
  EXPECT_EQ(type_of(e, "timestamp('2020-01-01T00:00:00Z') - duration('1h')"), "timestamp");
  EXPECT_EQ(type_of(e, "x.map(k, k)"), "list(dyn)");
  EXPECT_EQ(type_of(e, "{1: 'a'}.transformMap(k, v, v.size())"), "map(int, int)");
}

TEST(CelChecker, MessagesAreCelGos) {
  Expressions e;
  e.typed("self", R"({"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}})", R"({"n": 1})");
  EXPECT_EQ(e.issues("y"), "ERROR: <input>:1:1: undeclared reference to 'y' (in container '')\n | y\n | ^");
  EXPECT_EQ(e.issues("self.n + 'a'"),
            "ERROR: <input>:1:8: found no matching overload for '_+_' applied to '(int, string)'\n | self.n + 'a'\n | .......^");
  EXPECT_EQ(e.issues("self.s.startsWith(1)"),
            "ERROR: <input>:1:18: found no matching overload for 'startsWith' applied to 'string.(int)'\n | self.s.startsWith(1)\n | "
            ".................^");
  EXPECT_EQ(e.issues("self.nope"), "ERROR: <input>:1:5: undefined field 'nope'\n | self.nope\n | ....^");
  EXPECT_EQ(e.issues("self.n.x"), "ERROR: <input>:1:7: type 'int' does not support field selection\n | self.n.x\n | ......^");
  EXPECT_EQ(e.issues("self.n.all(i, true)"),
            "ERROR: <input>:1:5: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)\n | "
            "self.n.all(i, true)\n | ....^");
  EXPECT_EQ(e.issues("self.n && true"), "ERROR: <input>:1:5: expected type 'bool' but found 'int'\n | self.n && true\n | ....^");
  EXPECT_EQ(e.issues("nothing(1)"), "ERROR: <input>:1:8: undeclared reference to 'nothing' (in container '')\n | nothing(1)\n | .......^");
  EXPECT_EQ(e.issues("cel.bind(a, 1, a)").substr(0, 40), "ERROR: <input>:1:1: undeclared reference");
}

TEST(CelChecker, LiteralsHaveOneTypeAndAreRead) {
  Expressions e;
  EXPECT_EQ(e.issues("[1, 'a', false].filter(x, string(x) == 'a')").substr(0, 58),
            "ERROR: <input>:1:5: expected type 'int' but found 'string'");
  EXPECT_EQ(e.issues("{'a': 1, 'b': 'x'}").substr(0, 59), "ERROR: <input>:1:15: expected type 'int' but found 'string'");
  EXPECT_EQ(e.issues("'%s %d'.format(['a', 1])"), "");
  EXPECT_EQ(e.issues("duration('1 hour')").substr(0, 49), "ERROR: <input>:1:10: invalid duration argument\n |");
  EXPECT_EQ(e.issues("timestamp('today')").substr(0, 46), "ERROR: <input>:1:11: invalid timestamp argumen");
  EXPECT_EQ(e.issues("timestamp(-62135596801)").substr(0, 46), "ERROR: <input>:1:11: invalid timestamp argumen");
  EXPECT_EQ(e.issues("'a'.matches('(')").substr(0, 45), "ERROR: <input>:1:13: invalid matches argument");
}

TEST(CelChecker, TypesThatGrowWithoutBoundEnd) {
  Expressions e({.bindings = true});
  e.work = 100'000;
  std::string nested = "x80 == x80";
  for (int i = 80; i > 0; i--)
    nested = "cel.bind(x" + std::to_string(i) + ", [x" + std::to_string(i - 1) + ", x" + std::to_string(i - 1) + "], " + nested + ")";
  // Comparing what doubles 80 times over stops at the limit.
  EXPECT_EQ(e.value("cel.bind(x0, 1, " + nested + ")"), "error: operation cancelled: actual cost limit exceeded");
}

}  // namespace estiba::cel
