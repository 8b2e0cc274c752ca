#include <gtest/gtest.h>

#include "cel/testing/expressions.h"

namespace estiba::cel {

using testing::Expressions;

static constexpr CompileOptions unfolded{.fold_constants = false};

TEST(CelCost, AtRunTimeIsCelGos) {
  Expressions e;
  e.json("input", R"({"key": {"b": 1}, "l": [1]})");
  e.json("none", "{}");
  const auto cost = [&](std::string_view text) { return e.cost(text, unfolded); };
  EXPECT_EQ(cost("'Hello World!'"), 0u);
  EXPECT_EQ(cost("input"), 1u);
  EXPECT_EQ(cost("input['key']"), 2u);
  EXPECT_EQ(cost("input['ke' + 'y']"), 3u);
  EXPECT_EQ(cost("has(input.key)"), 1u);
  EXPECT_EQ(cost("has(input.key.b)"), 2u);
  EXPECT_EQ(cost("[1, 2, 3]"), 10u);
  EXPECT_EQ(cost("{'a': 1, 'b': 2, 'c': 3}"), 30u);
  EXPECT_EQ(cost("none.all(x, true)"), 2u);
  EXPECT_EQ(cost("[1, 2, 3].all(x, true)"), 20u);
  EXPECT_EQ(cost("'123'.matches('[0-9]')"), 2u);
  EXPECT_EQ(cost("true || false"), 0u);
  EXPECT_EQ(cost("1 < 2"), 1u);
  EXPECT_EQ(cost("2 in [1, 2, 3]"), 13u);
  EXPECT_EQ(cost("true ? 1 : 2"), 0u);
  EXPECT_EQ(cost("false ? false : 1 > 3"), 1u);
  EXPECT_EQ(cost("'12345678901234567890' == '123456789012345678901234567890'"), 2u);
  EXPECT_EQ(cost("(1 > 2 ? 5 : 3) > 1"), 2u);
  EXPECT_EQ(cost("(1 > 2 || 2 > 1) == true"), 3u);
  EXPECT_EQ(cost("[{'k1': 1}, {'k2': 2}].all(x, true)"), 77u);
  EXPECT_EQ(cost("[1,2,3,4,5].filter(x, x % 2 == 0)"), 62u);
  EXPECT_EQ(cost("[1,2,3,4,5].map(x, x)"), 86u);
  EXPECT_EQ(cost("[1,2,3,4,5].map(x, x).filter(x, x % 2 == 0)"), 138u);
  EXPECT_EQ(cost("[1,2,3,4,5].map(x, x).exists(x, x == 5) == true"), 118u);
  EXPECT_EQ(cost("[1,2,3,4,5].map(x, x).map(x, x)"), 162u);
  EXPECT_EQ(cost("[1,2,3,4,5].map(x, [x, x]).filter(z, z.size() == 2)"), 232u);
  EXPECT_EQ(cost("[1,2,3,4,5].map(x, [x, x]).all(y, y.all(y, y == 1))"), 171u);
  EXPECT_EQ(cost("[1,2,3,4,5].map(x, x).map(x, x) + [1]"), 173u);
  EXPECT_EQ(cost("[1,2,3].all(i, i in [1,2,3].map(j, j + j))"), 86u);
  EXPECT_EQ(cost("input.l.all(i, input.l[i - 1] == 1)"), 12u);
}

TEST(CelCost, OfLibraries) {
  Expressions e;
  const auto cost = [&](std::string_view text) { return e.cost(text, unfolded); };
  EXPECT_EQ(cost("[1, 2, 3, 4, 5].sum()"), 15u);
  EXPECT_EQ(cost("[uint(1), uint(2), uint(3), uint(4), uint(5)].max()"), 20u);
  EXPECT_EQ(cost("['012345678901', '012345678901', '012345678901', '012345678901', '012345678901'].isSorted()"), 15u);
  EXPECT_EQ(cost("'01234567890123456789012345678901234567890123456789'.indexOf('123')"), 5u);
  EXPECT_EQ(cost("url('https:://kubernetes.io/').getScheme()"), 4u);
  EXPECT_EQ(e.estimate("url('https:://kubernetes.io/').getScheme()"), (Range{4, 4}));
  EXPECT_EQ(e.estimate("[1, 2, 3, 4, 5].sum()"), (Range{15, 15}));
  EXPECT_EQ(e.estimate("['012345678901', '012345678901', '012345678901', '012345678901', '012345678901'].isSorted()").min, 15u);
  EXPECT_EQ(e.estimate("'01234567890123456789012345678901234567890123456789'.indexOf('123')"), (Range{5, 5}));
}

TEST(CelCost, ConstantsAreFree) {
  Expressions e;
  e.json("x", R"({"a": "b"})");
  EXPECT_EQ(e.cost("['a', 'b']"), 0u);
  EXPECT_EQ(e.cost("duration('1h') > duration('1m')"), 1u);
}

TEST(CelCost, EstimatesFromBounds) {
  Expressions e;
  e.typed("self", R"({"type": "object", "properties": {
      "list": {"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 5}},
      "endless": {"type": "array", "items": {"type": "string"}},
      "s": {"type": "string", "maxLength": 10}, "e": {"type": "string", "enum": ["a", "bbb"]}, "n": {"type": "integer"},
      "m": {"type": "object", "maxProperties": 3, "additionalProperties": {"type": "integer"}}}})",
          R"({})");
  EXPECT_EQ(e.estimate("self.n == 5").max, 2u);
  EXPECT_EQ(e.estimate("self.list.all(x, x == 'a')"), (Range{3, 3 + 10 * (2 + 1 + 1 + 1)}));
  EXPECT_EQ(e.estimate("self.s.startsWith('abc')"), (Range{3, 3}));
  EXPECT_EQ(e.estimate("self.s.contains('abc')").max, 2u + 4 * 1);
  EXPECT_EQ(e.estimate("self.e == self.s"), (Range{5, 5}));
  EXPECT_GT(e.estimate("self.endless.all(x, self.endless.all(y, x != y))").max, rule_estimate_limit);
  EXPECT_LT(e.estimate("self.list.all(x, self.list.all(y, x != y))").max, 1000u);
  EXPECT_EQ(e.estimate("self.m.all(k, self.m[k] > 1)").max, 3u + 3 * (2 + 1 + 2 + 1 + 1 + 1));
  EXPECT_EQ(e.estimate("has(self.s)"), (Range{1, 1}));
}

}  // namespace estiba::cel
