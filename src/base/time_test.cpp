#include "base/time.h"

#include <gtest/gtest.h>

#include "base/timestamp.h"

namespace estiba {
namespace {

TEST(Time, EveryYearOfRfc3339IsReadAndPrintedAsItIs) {
  for (const char* text : {"0001-01-01T00:00:02.000000Z", "1677-01-01T00:00:00.000001Z", "1969-12-31T23:59:59.999999Z",
                           "2026-11-21T02:26:38.123456Z", "2400-02-29T12:00:00.000000Z", "9999-12-31T23:59:59.999999Z"}) {
    auto time = parse_timestamp(text);
    ASSERT_TRUE(time) << text;
    EXPECT_EQ(format_rfc3339_micro(*time), text);
  }
  auto offset = parse_timestamp("0001-01-01T01:00:00+01:00");
  ASSERT_TRUE(offset);
  EXPECT_EQ(format_rfc3339(*offset), "0001-01-01T00:00:00Z");
}

TEST(Time, WhatNanosecondsDoNotReachIsTheNearestThatTheyDo) {
  EXPECT_EQ(parse_rfc3339("0001-01-01T00:00:00Z").value(), WallTime::min());
  EXPECT_EQ(parse_rfc3339("9999-01-01T00:00:00Z").value(), WallTime::max());
  EXPECT_EQ(format_rfc3339_nano(parse_rfc3339("1969-12-31T23:59:59.5Z").value()), "1969-12-31T23:59:59.500000000Z");
}

}  // namespace
}  // namespace estiba
