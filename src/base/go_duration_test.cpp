#include "base/go_duration.h"

#include <gtest/gtest.h>

namespace estiba {
namespace {

using namespace std::chrono_literals;

TEST(GoDuration, IsReadAsGoReadsIt) {
  EXPECT_EQ(parse_go_duration("1h2m3.5s"), 1h + 2min + 3500ms);
  EXPECT_EQ(parse_go_duration("100ms"), 100ms);
  EXPECT_EQ(parse_go_duration("1.5µs"), 1500ns);
  EXPECT_EQ(parse_go_duration(".5s"), 500ms);
  EXPECT_EQ(parse_go_duration("-1s"), -1s);
  EXPECT_EQ(parse_go_duration("+1s"), 1s);
  EXPECT_EQ(parse_go_duration("0"), 0s);
  EXPECT_EQ(parse_go_duration("2400h"), 2400h);
  for (const char* bad : {"", "-", "1", "s", ".s", "1x", "1s2", "1.2.3s", "1e3s", "--1s", "soon", "99999999h99999999h"})
    EXPECT_FALSE(parse_go_duration(bad)) << bad;
  EXPECT_EQ(parse_go_duration("9223372036854775807ns")->count(), INT64_MAX);
  EXPECT_EQ(parse_go_duration("-9223372036854775808ns")->count(), INT64_MIN);
  EXPECT_FALSE(parse_go_duration("9223372036854775808ns"));
  EXPECT_EQ(parse_go_duration("").error().message, "time: invalid duration \"\"");
  EXPECT_EQ(parse_go_duration("5").error().message, "time: missing unit in duration \"5\"");
  EXPECT_EQ(parse_go_duration("5y").error().message, "time: unknown unit \"y\" in duration \"5y\"");
}

TEST(GoDuration, OfAFlagIsBounded) {
  const auto refusal = [](const char* text, Duration least) { return parse_duration_flag("every", text, least).error().message; };
  EXPECT_EQ(parse_duration_flag("every", "0s").value(), 0s);
  EXPECT_EQ(parse_duration_flag("every", "1s", 1s).value(), 1s);
  EXPECT_EQ(refusal("soon", {}), "--every must be a duration like 1m0s, not \"soon\"");
  EXPECT_EQ(refusal("-1s", {}), "--every must be a duration like 1m0s, not \"-1s\"");
  EXPECT_EQ(refusal("0s", 1ns), "--every must be a duration above zero like 1m0s, not \"0s\"");
  EXPECT_EQ(refusal("1ms", 1s), "--every must be a duration of 1s or more, like 1m0s, not \"1ms\"");
}

}  // namespace
}  // namespace estiba
