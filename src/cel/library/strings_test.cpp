#include <gtest/gtest.h>

#include "cel/testing/expressions.h"

namespace estiba::cel {

using testing::Expressions;

TEST(CelStrings, IndexesCountCodePoints) {
  Expressions e;
  EXPECT_EQ(e.value("'tacocat'.charAt(3)"), "\"o\"");
  EXPECT_EQ(e.value("'éa'.charAt(2)"), "\"\"");
  EXPECT_EQ(e.value("'a'.charAt(5)"), "error: index out of range: 5");
  EXPECT_EQ(e.value("'ééa'.indexOf('a')"), "2");
  EXPECT_EQ(e.value("'tacocat'.indexOf('a', 3)"), "5");
  EXPECT_EQ(e.value("'tacocat'.lastIndexOf('at')"), "5");
  EXPECT_EQ(e.value("'tacocat'.lastIndexOf('a', 3)"), "1");
  EXPECT_EQ(e.value("'tacocat'.lastIndexOf('')"), "7");
  EXPECT_EQ(e.value("'ta©o©αT'.substring(2, 6)"), "\"©o©α\"");
  EXPECT_EQ(e.value("'tacocat'.substring(40)"), "error: index out of range: 40");
  EXPECT_EQ(e.value("'tacocat'.substring(1, 0)"), "error: invalid substring range. start: 1, end: 0");
}

TEST(CelStrings, ChangesAndParts) {
  Expressions e;
  EXPECT_EQ(e.value("'TacoCÆt'.lowerAscii()"), "\"tacocÆt\"");
  EXPECT_EQ(e.value("'tacoCαt'.upperAscii()"), "\"TACOCαT\"");
  EXPECT_EQ(e.value("' \\f\\n\\r\\t\\u2003x y\\u00a0'.trim()"), "\"x y\"");
  EXPECT_EQ(e.value("'12 days 12 hours'.replace('12', '22', 1)"), "\"22 days 12 hours\"");
  EXPECT_EQ(e.value("'1 2'.replace('', 'x')"), "\"x1x x2x\"");
  EXPECT_EQ(e.value("'aaa'.replace('aa', 'b')"), "\"ba\"");
  EXPECT_EQ(e.value("'hello world'.split(' ', 1)"), "[\"hello world\"]");
  EXPECT_EQ(e.value("'o☃o'.split('')"), "[\"o\", \"☃\", \"o\"]");
  EXPECT_EQ(e.value("'a,b,c'.split(',', 2)"), "[\"a\", \"b,c\"]");
  EXPECT_EQ(e.value("'a'.split(',', 0)"), "[]");
  EXPECT_EQ(e.value("['x', 'y'].join('-') + ['a', 'b'].join()"), "\"x-yab\"");
  EXPECT_EQ(e.value("[dyn('x'), dyn(1)].join()"), "error: join: invalid input: 1");
  EXPECT_EQ(e.value(R"(strings.quote('first\nsecond "x"'))"), R"("\"first\\nsecond \\\"x\\\"\"")");
  EXPECT_EQ(e.truth("'abc'.contains('b') && 'abc'.startsWith('ab') && 'abc'.endsWith('') && 'abc'.matches('^a.c$')"), "ok");
}

TEST(CelStrings, Formats) {
  Expressions e;
  EXPECT_EQ(e.truth("'%d %s %f %s %s'.format([1, 'abc', 1.0, duration('1m'), timestamp('2000-01-01T00:00:00.000Z')]) == '1 abc 1.000000 "
                    "60s 2000-01-01T00:00:00Z'"),
            "ok");
  EXPECT_EQ(e.truth("'%e'.format([3.14]) == '3.140000×10⁰⁰' && '%.2e'.format([1500.0]) == '1.50×10⁰³'"), "ok");
  EXPECT_EQ(e.truth("'%o %b %x %X %x'.format([8, 5, 255, 255, 'hi']) == '10 101 ff FF 6869'"), "ok");
  EXPECT_EQ(e.truth("'%.3f %%'.format([3.14159]) == '3.142 %'"), "ok");
  EXPECT_EQ(e.value("'%s'.format([[1, 'a', 2.5, b'x', null]])"), "\"[1, \\\"a\\\", 2.500000, b\\\"x\\\", null]\"");
  EXPECT_EQ(e.value("'%s'.format([{'b': 1, 'a': true}])"), "\"{\\\"a\\\":true, \\\"b\\\":1}\"");
  EXPECT_EQ(e.value("'%d'.format([dyn('a')])"),
            "error: error during formatting: decimal clause can only be used on integers, was given string");
  EXPECT_EQ(e.value("'%s %s'.format(['a'])"), "error: index 1 out of range");
  EXPECT_EQ(e.value("'%q'.format(['a'])"), "error: could not parse formatting clause: unrecognized formatting clause \"q\"");
}

TEST(CelStrings, RegularExpressions) {
  Expressions e;
  EXPECT_EQ(e.value("'abc 123'.find('[0-9]+')"), "\"123\"");
  EXPECT_EQ(e.value("'abc'.find('[0-9]+')"), "\"\"");
  EXPECT_EQ(e.value("'123 abc 456'.findAll('[0-9]+')"), "[\"123\", \"456\"]");
  EXPECT_EQ(e.value("'123 abc 456'.findAll('[0-9]+', 1)"), "[\"123\"]");
  EXPECT_EQ(e.value("'aab'.findAll('a*')"), "[\"aa\", \"\"]");
  e.json("x", R"({"p": "(", "q": "^[a-c]+$"})");
  EXPECT_EQ(e.truth("['a', 'b'].all(s, s.matches(x.q)) && !['d'].exists(s, s.matches(x.q))"), "ok");
  EXPECT_EQ(e.value("lists.range(5000).all(i, 'a'.matches('a' + string(i)) || true)"),
            "error: operation cancelled: actual cost limit exceeded");
  EXPECT_EQ(e.value("'a'.matches(x.p)"), "error: error parsing regexp: missing closing ): `(`");
}

}  // namespace estiba::cel
