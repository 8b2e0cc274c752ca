#include "build/context/ignore.h"

#include <gtest/gtest.h>

namespace estiba::build {
namespace {

IgnoreRules rules(std::string_view text) {
  auto out = IgnoreRules::parse(text);
  EXPECT_TRUE(out) << out.error().message;
  return out ? std::move(*out) : IgnoreRules{};
}

TEST(IgnoreRules, PlainNamesMatchAtTheRootOnly) {
  auto r = rules("# comment\n\n  node_modules  \n/dist/\n./tmp\n");
  EXPECT_TRUE(r.ignored("node_modules"));
  EXPECT_TRUE(r.ignored("node_modules/a/b"));
  EXPECT_FALSE(r.ignored("sub/node_modules"));
  EXPECT_TRUE(r.ignored("dist/x"));
  EXPECT_TRUE(r.ignored("tmp"));
  EXPECT_FALSE(r.ignored("tmpfile"));
}

TEST(IgnoreRules, Wildcards) {
  auto r = rules("*.md\n*/temp*\ntemp?\n[a-c]x\n");
  EXPECT_TRUE(r.ignored("README.md"));
  EXPECT_FALSE(r.ignored("docs/README.md"));
  EXPECT_TRUE(r.ignored("sub/temporary.txt"));
  EXPECT_FALSE(r.ignored("sub/sub/temp"));
  EXPECT_TRUE(r.ignored("tempa"));
  EXPECT_FALSE(r.ignored("temp"));
  EXPECT_TRUE(r.ignored("bx"));
  EXPECT_FALSE(r.ignored("dx"));
}

TEST(IgnoreRules, DoubleStars) {
  auto r = rules("**/*.go\na/**/z\nall/**\n");
  EXPECT_TRUE(r.ignored("x.go"));
  EXPECT_TRUE(r.ignored("a/b/x.go"));
  EXPECT_TRUE(r.ignored("a/z"));
  EXPECT_TRUE(r.ignored("a/b/c/z"));
  EXPECT_FALSE(r.ignored("all"));
  EXPECT_TRUE(r.ignored("all/x/y"));
  EXPECT_TRUE(rules("**").ignored("x/y"));
}

TEST(IgnoreRules, TheLastMatchDecides) {
  auto r = rules("*.md\n!README*.md\nREADME-secret.md\n");
  EXPECT_TRUE(r.ignored("a.md"));
  EXPECT_FALSE(r.ignored("README.md"));
  EXPECT_TRUE(r.ignored("README-secret.md"));
  auto all = rules("*\n!src/keep\n");
  EXPECT_TRUE(all.ignored("src"));
  EXPECT_FALSE(all.ignored("src/keep/x"));
  EXPECT_FALSE(all.ignored_whole("src"));
  EXPECT_TRUE(all.ignored_whole("other"));
}

TEST(IgnoreRules, ErrorsNameTheLine) {
  EXPECT_TRUE(IgnoreRules::parse("a\n!\n").error().message.starts_with(".dockerignore:2: illegal exclusion pattern"));
  EXPECT_TRUE(IgnoreRules::parse("[a\n").error().message.starts_with(".dockerignore:1: syntax error in pattern \"[a\""));
}

TEST(IgnoreRules, PartsMatchAsInGo) {
  EXPECT_TRUE(matches_part("a*b*c", "aXbYbZc"));
  EXPECT_TRUE(matches_part("[^x]?", "ab"));
  EXPECT_FALSE(matches_part("[^x]?", "xb"));
  EXPECT_TRUE(matches_part("\\*", "*"));
  EXPECT_FALSE(matches_part("\\*", "a"));
  EXPECT_FALSE(valid_part("[]a"));
  EXPECT_FALSE(valid_part("[a-"));
  EXPECT_EQ(clean_path("/a/../../b//./c/"), "b/c");
}

}  // namespace
}  // namespace estiba::build
