#include "cel/regex/regex.h"

#include <gtest/gtest.h>

#include "cel/memory.h"

namespace estiba::cel {

static bool matches(std::string_view pattern, std::string_view text) {
  Memory memory;
  const auto regex = Regex::compile(pattern);
  return regex && regex->matches(memory, text);
}

static std::string find(std::string_view pattern, std::string_view text) {
  Memory memory;
  const auto regex = Regex::compile(pattern);
  if (!regex) return regex.error().message;
  const auto found = regex->find(memory, text, 0);
  return found ? std::string(text.substr(found->from, found->to - found->from)) : "none";
}

static std::string error(std::string_view pattern) {
  const auto regex = Regex::compile(pattern);
  return regex ? "" : regex.error().message;
}

TEST(CelRegex, Matches) {
  EXPECT_TRUE(matches("^a[a-z]+$", "abc"));
  EXPECT_FALSE(matches("^a[a-z]+$", "abC"));
  EXPECT_TRUE(matches("b", "abc"));
  EXPECT_TRUE(matches("", ""));
  EXPECT_TRUE(matches("^$", ""));
  EXPECT_FALSE(matches("^$", "a"));
  EXPECT_TRUE(matches("a|b|", "z"));
  EXPECT_TRUE(matches("^(ab|cd){2,3}$", "abcdab"));
  EXPECT_FALSE(matches("^(ab|cd){2,3}$", "ab"));
  EXPECT_TRUE(matches("^a{2}$", "aa"));
  EXPECT_TRUE(matches("^a{,2}$", "a{,2}"));
  EXPECT_TRUE(matches("^é.$", "éü"));
  EXPECT_TRUE(matches("^[^a]$", "\n"));
  EXPECT_FALSE(matches("^.$", "\n"));
  EXPECT_TRUE(matches("(?s)^.$", "\n"));
  EXPECT_TRUE(matches("(?i)^straße$", "STRAßE"));
  EXPECT_TRUE(matches("(?i)k", "\u212a"));
  EXPECT_TRUE(matches("(?m)^b$", "a\nb\nc"));
  EXPECT_FALSE(matches("^b$", "a\nb\nc"));
  EXPECT_TRUE(matches("\\bfoo\\b", "a foo b"));
  EXPECT_FALSE(matches("\\bfoo\\b", "afoo b"));
  EXPECT_TRUE(matches("^\\d+\\s\\w*\\D$", "12 a_b!"));
  EXPECT_TRUE(matches("^\\p{Greek}\\pL\\P{L}$", "αb1"));
  EXPECT_TRUE(matches("^[[:alpha:]\\d-]+$", "a-1"));
  EXPECT_TRUE(matches("^\\Qa.b\\E+$", "a.bb"));
  EXPECT_TRUE(matches("^\\x{1F600}\\x41\\101$", "😀AA"));
  EXPECT_TRUE(matches("^(?P<name>x)(?:y)(?i:Z)$", "xyz"));
  EXPECT_TRUE(matches("(^a|b$)", "xb"));
}

TEST(CelRegex, FindsLeftmostFirst) {
  EXPECT_EQ(find("a+", "baaac"), "aaa");
  EXPECT_EQ(find("a+?", "baaac"), "a");
  EXPECT_EQ(find("a|ab", "abc"), "a");
  EXPECT_EQ(find("ab|a", "abc"), "ab");
  EXPECT_EQ(find("(a*)*b", "aaab"), "aaab");
  EXPECT_EQ(find("x*", "aax"), "");
  EXPECT_EQ(find("[0-9]{2,}", "a1b234"), "234");
  EXPECT_EQ(find("z", "abc"), "none");
}

TEST(CelRegex, SaysWhatIsWrong) {
  EXPECT_EQ(error("(ab"), "error parsing regexp: missing closing ): `(ab`");
  EXPECT_EQ(error("ab)"), "error parsing regexp: unexpected ): `ab)`");
  EXPECT_EQ(error("[a"), "error parsing regexp: missing closing ]: `[a`");
  EXPECT_EQ(error("*a"), "error parsing regexp: missing argument to repetition operator: `*`");
  EXPECT_EQ(error("a**"), "error parsing regexp: invalid nested repetition operator: `**`");
  EXPECT_EQ(error("a{1001}"), "error parsing regexp: invalid repeat count: `{1001}`");
  EXPECT_EQ(error("(a{100}){100}"), "error parsing regexp: invalid repeat count: `{100}`");
  EXPECT_EQ(error("[b-a]"), "error parsing regexp: invalid character class range: `b-a`");
  EXPECT_EQ(error("\\y"), "error parsing regexp: invalid escape sequence: `\\y`");
  EXPECT_EQ(error("(?<n"), "error parsing regexp: invalid named capture: `(?<n`");
  EXPECT_EQ(error("(?=a)"), "error parsing regexp: invalid or unsupported Perl syntax: `(?=`");
  EXPECT_EQ(error("a\\"), "error parsing regexp: trailing backslash at end of expression: ``");
}

TEST(CelRegex, StaysLinear) {
  Memory memory;
  const std::string text(30'000, 'a');
  const auto evil = Regex::compile("^(a|a)*(a|a)*(a|a)*b$");
  ASSERT_TRUE(evil);
  EXPECT_FALSE(evil->matches(memory, text));
  EXPECT_FALSE(memory.exhausted());
  const auto wide = Regex::compile("(.{1,60}){2}\\b[^a]");
  ASSERT_TRUE(wide);
  EXPECT_FALSE(wide->has_table());
  EXPECT_FALSE(wide->matches(memory, text.substr(0, 500)));
  EXPECT_FALSE(memory.exhausted());
  memory.limit_work(1000);
  wide->matches(memory, text);
  EXPECT_TRUE(memory.exhausted());
  const auto small = Regex::compile("^a[a-z]+$");
  ASSERT_TRUE(small);
  EXPECT_TRUE(small->has_table());
}

}  // namespace estiba::cel
