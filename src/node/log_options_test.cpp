#include "node/log_options.h"

#include <gtest/gtest.h>

namespace estiba::node {
namespace {

TEST(LogOptions, BadValuesNameTheParameter) {
  auto parse = [](std::string key, std::string value) {
    return parse_log_options([&](std::string_view name) { return name == key ? std::string_view(value) : std::string_view{}; }, {});
  };
  EXPECT_EQ(parse("tailLines", "-1").error().message, "tailLines must be a number of at least 0, not \"-1\"");
  EXPECT_FALSE(parse("sinceTime", "yesterday"));
  EXPECT_TRUE(parse("follow", "true")->follow);
}

}  // namespace
}  // namespace estiba::node
