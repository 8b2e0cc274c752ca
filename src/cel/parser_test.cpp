#include <gtest/gtest.h>

#include "cel/testing/expressions.h"

namespace estiba::cel {

using testing::Expressions;

TEST(CelParser, ReadsEveryLiteral) {
  Expressions e;
  EXPECT_EQ(e.value("0x1F"), "31");
  EXPECT_EQ(e.value("-0x8000000000000000"), "-9223372036854775808");
  EXPECT_EQ(e.value("-9223372036854775808"), "-9223372036854775808");
  EXPECT_EQ(e.value("12u"), "12u");
  EXPECT_EQ(e.value("0xFFu"), "255u");
  EXPECT_EQ(e.value("1.5e3"), "1500");
  EXPECT_EQ(e.value(".5"), "0.5");
  EXPECT_EQ(e.value("1e2"), "100");
  EXPECT_EQ(e.value("true && !false"), "true");
  EXPECT_EQ(e.value("null"), "null");
}

TEST(CelParser, ReadsStringsAndBytes) {
  Expressions e;
  EXPECT_EQ(e.value(R"('it\'s')"), R"("it's")");
  EXPECT_EQ(e.value(R"(r'\d+' == '\\d+')"), "true");
  EXPECT_EQ(e.value("'''a'b\n''c'''.size()"), "7");
  EXPECT_EQ(e.value(R"("""x\ty""" == "x\ty")"), "true");
  EXPECT_EQ(e.value(R"('\u00e9\U0001F431\x41\101' == 'é🐱AA')"), "true");
  EXPECT_EQ(e.value(R"(b'\xff\303' == bytes('x') || b'\xff'.size() == 1)"), "true");
  EXPECT_EQ(e.value(R"(b'é'.size())"), "2");
  EXPECT_EQ(e.value(R"('é'.size())"), "1");
  EXPECT_EQ(e.value(R"(br'\n'.size())"), "2");
}

TEST(CelParser, PrecedenceAndUnaryChains) {
  Expressions e;
  EXPECT_EQ(e.value("1 + 2 * 3 - 4 / 2"), "5");
  EXPECT_EQ(e.value("1 + 2 == 3 && 4 > 3 || false"), "true");
  EXPECT_EQ(e.value("!!true"), "true");
  EXPECT_EQ(e.value("-(3)"), "-3");
  EXPECT_EQ(e.value("--3"), "3");
  EXPECT_EQ(e.value("true ? 1 : false ? 2 : 3"), "1");
  EXPECT_EQ(e.value("[1, 2,][1]"), "2");
  EXPECT_EQ(e.value("{'a': {'c': 1}, 'b': {'c': 2},}.b.c"), "2");
  EXPECT_EQ(e.value("1 // comment\n + 1"), "2");
}

TEST(CelParser, SaysWhereItFailed) {
  Expressions e;
  EXPECT_EQ(e.issues("1 + $"),
            "ERROR: <input>:1:5: Syntax error: token recognition error at: '$'\n | 1 + $\n | ....^\n"
            "ERROR: <input>:1:6: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', "
            "NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | 1 + $\n | .....^");
  EXPECT_EQ(e.issues("TestAllTypes(){}"),
            "ERROR: <input>:1:15: Syntax error: mismatched input '{' expecting <EOF>\n | TestAllTypes(){}\n | ..............^");
  EXPECT_EQ(e.issues("1 + 2\n3 +"), "ERROR: <input>:2:1: Syntax error: mismatched input '3' expecting <EOF>\n | 3 +\n | ^");
  EXPECT_EQ(e.issues("0xFFFFFFFFFFFFFFFFF"), "ERROR: <input>:1:1: invalid int literal\n | 0xFFFFFFFFFFFFFFFFF\n | ^");
  EXPECT_EQ(e.issues("'ä' + as"), "ERROR: <input>:1:7: reserved identifier: as\n | 'ä' + as\n | .．....^");
  EXPECT_EQ(e.issues("has(1)"), "ERROR: <input>:1:5: invalid argument to has() macro\n | has(1)\n | ....^");
  EXPECT_EQ(e.issues("[1].all(2, 3)"), "ERROR: <input>:1:9: argument must be a simple name\n | [1].all(2, 3)\n | ........^");
  EXPECT_EQ(e.issues("{a}"), "ERROR: <input>:1:3: Syntax error: mismatched input '}' expecting ':'\n | {a}\n | ..^");
}

TEST(CelParser, BoundsSizeAndNesting) {
  Expressions e;
  const std::string deep = std::string(300, '(') + "1" + std::string(300, ')');
  EXPECT_EQ(e.issues(deep), "ERROR: <input>:-1:0: expression recursion limit exceeded: 250");
  std::string sum = "1";
  for (int i = 0; i < 400; i++) sum += "+1";
  EXPECT_EQ(e.issues(sum), "ERROR: <input>:-1:0: expression recursion limit exceeded: 250");
  std::string chain = "true";
  for (int i = 0; i < 3000; i++) chain += " && true";
  EXPECT_EQ(e.value(chain), "true");
  EXPECT_EQ(e.issues(std::string(100'001, ' ')),
            "ERROR: <input>:-1:0: expression code point size exceeds limit: size: 100001, limit 100000");
  std::string doubling = "optional.of(1)";
  for (int i = 0; i < 60; i++) doubling += ".optMap(x, x)";
  EXPECT_NE(e.issues(doubling).find("too large"), std::string::npos);
}

}  // namespace estiba::cel
