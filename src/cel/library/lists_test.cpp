#include <gtest/gtest.h>

#include "cel/testing/expressions.h"

namespace estiba::cel {

using testing::Expressions;

TEST(CelLists, Kubernetes) {
  Expressions e;
  EXPECT_EQ(e.truth("[1, 2, 2].isSorted() && !['b', 'a'].isSorted() && [].isSorted()"), "ok");
  EXPECT_EQ(e.truth("[1, 3].sum() == 4 && [1.5, 2.0].sum() == 3.5 && [duration('1m'), duration('1s')].sum() == duration('61s')"), "ok");
  EXPECT_EQ(e.truth("[2, 1, 3].min() == 1 && ['a', 'c'].max() == 'c' && [1u, 2u].sum() == 3u"), "ok");
  EXPECT_EQ(e.value("[1, 2].map(x, x, x > 5).max()").substr(0, 5), "issue");
  EXPECT_EQ(e.value("[1].filter(x, x > 1).max()"), "error: max called on empty list");
  EXPECT_EQ(e.truth("[1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2 && [1].indexOf(9) == -1"), "ok");
}

TEST(CelLists, Extension) {
  Expressions e;
  EXPECT_EQ(e.value("[1, 2, 3, 4].slice(1, 3)"), "[2, 3]");
  EXPECT_EQ(e.value("[1].slice(0, 5)"), "error: cannot slice(0, 5), list is length 1");
  EXPECT_EQ(e.value("[1].slice(-1, 1)"), "error: cannot slice(-1, 1), negative indexes not supported");
  EXPECT_EQ(e.value("[[1, [2]], [3]].flatten()").substr(0, 5), "issue");
  EXPECT_EQ(e.value("dyn([1, [2, [3, [4]]]]).flatten(2)").substr(0, 5), "issue");
  e.json("x", "[1, [2, [3, [4]]]]");
  EXPECT_EQ(e.value("x.flatten(2)"), "[1, 2, 3, [4]]");
  EXPECT_EQ(e.value("x.flatten(-1)"), "error: level must be non-negative");
  EXPECT_EQ(e.value("[3, 1, 2].sort()"), "[1, 2, 3]");
  EXPECT_EQ(e.value("[3, 1, 2].sortBy(x, -x)"), "[3, 2, 1]");
  EXPECT_EQ(e.value("[{'n': 'b'}, {'n': 'a'}].sortBy(m, m.n)"), "[{\"n\": \"a\"}, {\"n\": \"b\"}]");
  EXPECT_EQ(e.value("[1, 2, 1, 3].distinct()"), "[1, 2, 3]");
  EXPECT_EQ(e.value("[1, 2, 3].reverse()"), "[3, 2, 1]");
  EXPECT_EQ(e.value("lists.range(4)"), "[0, 1, 2, 3]");
}

TEST(CelLists, Sets) {
  Expressions e;
  EXPECT_EQ(e.truth("sets.contains([1, 2, 3], [3, 1]) && !sets.contains([1], [2]) && sets.contains([1], [])"), "ok");
  EXPECT_EQ(e.truth("sets.equivalent([1, 2, 2], [2, 1]) && !sets.equivalent([1], [1, 2])"), "ok");
  EXPECT_EQ(e.truth("sets.intersects([1, 2], [2, 3]) && !sets.intersects([1], [])"), "ok");
}

}  // namespace estiba::cel
