#include "node/env_file.h"

#include <gtest/gtest.h>

namespace estiba::node {
namespace {

std::string value(std::string_view text, std::string_view key) {
  const auto found = env_file_value(text, key);
  return !found ? "error: " + found.error().message : found->value_or("none");
}

TEST(EnvFile, ValuesStandInSingleQuotes) {
  constexpr std::string_view text = "# about\n\n  A='one'\n\tB='two words' # said\nC='first\nsecond'\nD= 'x'\nE=''\nF='$A \"x\"'\n";
  EXPECT_EQ(value(text, "A"), "one");
  EXPECT_EQ(value(text, "B"), "two words");
  EXPECT_EQ(value(text, "C"), "first\nsecond");
  EXPECT_EQ(value(text, "D"), "none");
  EXPECT_EQ(value(text, "E"), "none");
  EXPECT_EQ(value(text, "F"), "$A \"x\"");
  EXPECT_EQ(value(text, "G"), "none");
  EXPECT_EQ(value("", "A"), "none");
  EXPECT_EQ(value("A='1'", "A"), "1");
}

TEST(EnvFile, WhatIsNoLineOfIsNamed) {
  constexpr std::string_view about = "error: invalid environment variable format at line ";
  EXPECT_EQ(value("A='1'\nwrong\n", "B"), std::string(about) + "2: missing '='");
  EXPECT_EQ(value("A='1'\nwrong\n", "A"), "1");
  EXPECT_EQ(value("='1'\n", "A"), std::string(about) + "1: empty variable name");
  EXPECT_EQ(value("A ='1'\n", "A"), std::string(about) + "1: whitespace before '=' is not allowed");
  EXPECT_EQ(value("A=1\n", "A"), std::string(about) + "1: value must be enclosed in single quotes");
  EXPECT_EQ(value("A='1'2\n", "A"), std::string(about) + "1: unexpected content after closing quote");
  EXPECT_EQ(value("A='1\n", "A"), std::string(about) + "1: unclosed single quote");
}

}  // namespace
}  // namespace estiba::node
