#include "cli/flags.h"

#include <gtest/gtest.h>

namespace estiba::cli {
namespace {

struct FlagsTest : testing::Test {
  Flags flags{"estiba test"};
  std::string name = "x";
  int64_t count = 3;
  bool force = false;
  std::vector<std::string> sans;
  FlagsTest() {
    flags.add("name,n", &name, "a name");
    flags.add("count", &count, "a number");
    flags.add("force", &force, "a truth");
    flags.add("tls-san", &sans, "names");
  }
};

TEST_F(FlagsTest, ReadsEveryForm) {
  auto rest = flags.parse({"-n", "a", "--count=5", "b", "--force", "--tls-san", "p", "--tls-san=q", "--", "--count"});
  ASSERT_TRUE(rest);
  EXPECT_EQ(*rest, (Arguments{"b", "--count"}));
  EXPECT_EQ(name, "a");
  EXPECT_EQ(count, 5);
  EXPECT_TRUE(force);
  EXPECT_EQ(sans, (std::vector<std::string>{"p", "q"}));
}

TEST_F(FlagsTest, ErrorsNameTheFlagAndTheWayOut) {
  EXPECT_EQ(flags.parse({"--cuont", "1"}).error().message, "unknown flag --cuont; did you mean --count? (--help lists them)");
  EXPECT_EQ(flags.parse({"--count", "many"}).error().message, "--count takes a whole number, not \"many\"");
  EXPECT_EQ(flags.parse({"--name"}).error().message, "--name needs a value");
  EXPECT_EQ(flags.set("force", "perhaps").error().message, "--force is true or false, not \"perhaps\"");
}

TEST_F(FlagsTest, HelpShowsDefaults) {
  ASSERT_TRUE(flags.parse({"--help"}));
  EXPECT_TRUE(flags.help_wanted());
  EXPECT_NE(flags.help().find("--count     a number (default 3)"), std::string::npos) << flags.help();
}

}  // namespace
}  // namespace estiba::cli
