#include "build/dockerfile/expand.h"

#include <gtest/gtest.h>

namespace estiba::build {
namespace {

const Variables variables = {{"X", "value"}, {"EMPTY", ""}, {"PATH", "/usr/bin:/bin"}, {"FILE", "a.tar.gz"}, {"V", "1.2.3"}};

std::string of(std::string_view word, char escape = '\\') {
  auto out = expand(word, variables, escape);
  return out ? *out : "error: " + out.error().message;
}

TEST(Expand, ReplacesPlainAndBracedVariables) {
  EXPECT_EQ(of("$X"), "value");
  EXPECT_EQ(of("${X}"), "value");
  EXPECT_EQ(of("a${X}b$X-c"), "avaluebvalue-c");
  EXPECT_EQ(of("$UNKNOWN|"), "|");
  EXPECT_EQ(of("$X_"), "");
  EXPECT_EQ(of("cost: 5$"), "cost: 5$");
  EXPECT_EQ(of("$/x"), "$/x");
}

TEST(Expand, QuotesAndEscapesAreTakenAway) {
  EXPECT_EQ(of("\"a $X\""), "a value");
  EXPECT_EQ(of("'a $X'"), "a $X");
  EXPECT_EQ(of("\\$X"), "$X");
  EXPECT_EQ(of("\"\\$X \\\" \\n\""), "$X \" \\n");
  EXPECT_EQ(of("`$X", '`'), "$X");
  EXPECT_EQ(of("C:\\dir", '`'), "C:\\dir");
  EXPECT_EQ(of("a\\ b"), "a b");
}

TEST(Expand, DefaultsAndAlternatives) {
  EXPECT_EQ(of("${NO:-d}"), "d");
  EXPECT_EQ(of("${EMPTY:-d}"), "d");
  EXPECT_EQ(of("${EMPTY-d}"), "");
  EXPECT_EQ(of("${NO-d}"), "d");
  EXPECT_EQ(of("${X:+alt}"), "alt");
  EXPECT_EQ(of("${EMPTY:+alt}"), "");
  EXPECT_EQ(of("${EMPTY+alt}"), "alt");
  EXPECT_EQ(of("${NO:-${X:+in}}"), "in");
  EXPECT_EQ(of("${NO:-\"a }b\"}"), "a }b");
  EXPECT_EQ(of("${X:?missing}"), "value");
  EXPECT_EQ(of("${NO:?is needed}"), "error: NO: is needed");
}

TEST(Expand, PatternsAreCutAndReplaced) {
  EXPECT_EQ(of("${FILE#a.}"), "tar.gz");
  EXPECT_EQ(of("${FILE#*.}"), "tar.gz");
  EXPECT_EQ(of("${FILE##*.}"), "gz");
  EXPECT_EQ(of("${FILE%.*}"), "a.tar");
  EXPECT_EQ(of("${FILE%%.*}"), "a");
  EXPECT_EQ(of("${V/./-}"), "1-2.3");
  EXPECT_EQ(of("${V//./-}"), "1-2-3");
  EXPECT_EQ(of("${V//[/x}"), "1.2.3");
  EXPECT_EQ(of("${PATH//\\//_}"), "_usr_bin:_bin");
  EXPECT_EQ(of("${V/*/x}"), "x");
  EXPECT_EQ(of("${V/.}"), "12.3");
  EXPECT_EQ(of("${V#\\*}"), "1.2.3");
}

TEST(Expand, MalformedWordsAreRefused) {
  EXPECT_TRUE(of("${X").starts_with("error: a closing '}'"));
  EXPECT_TRUE(of("\"x").starts_with("error: a closing \""));
  EXPECT_TRUE(of("'x").starts_with("error: a closing '"));
  EXPECT_TRUE(of("${X:x}").starts_with("error: unsupported modifier"));
  EXPECT_TRUE(of("${X^y}").starts_with("error: unsupported modifier"));
  EXPECT_TRUE(of("${}").starts_with("error: bad substitution"));
  std::string deep;
  for (int i = 0; i < 60; ++i) deep += "${A:-";
  EXPECT_TRUE(of(deep + std::string(60, '}')).starts_with("error: variables are nested"));
}

TEST(Expand, WordsAreSplitOutsideOfQuotes) {
  EXPECT_EQ(*expand_words("80 $X  \"a b\" '' c\\ d", variables), (std::vector<std::string>{"80", "value", "a b", "", "c d"}));
  EXPECT_TRUE(expand_words("  ", variables)->empty());
}

TEST(Expand, HeredocTextKeepsQuotes) {
  EXPECT_EQ(*expand_text("it's \"$X\" \\$X \\\\ \\n\n", variables), "it's \"value\" $X \\ \\n\n");
  EXPECT_EQ(*expand_text("${NO:-d} and {x}", variables), "d and {x}");
}

TEST(Expand, NamesTheVariablesOfAWord) { EXPECT_EQ(variables_in("$A${B:-$C} '$D' \\$E"), (std::vector<std::string>{"A", "B", "C"})); }

TEST(Expand, PatternsMatchWholeTexts) {
  EXPECT_TRUE(matches_pattern("a*c?", "abbbcd"));
  EXPECT_FALSE(matches_pattern("a*c?", "abbbc"));
  EXPECT_TRUE(matches_pattern("\\*", "*"));
  EXPECT_FALSE(matches_pattern("\\*", "x"));
  EXPECT_TRUE(matches_pattern("*", ""));
}

}  // namespace
}  // namespace estiba::build
