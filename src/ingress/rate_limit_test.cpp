#include "ingress/rate_limit.h"

#include <gtest/gtest.h>

namespace estiba::ingress {
namespace {

using namespace std::chrono_literals;

TEST(Rate, IsANumberAndAUnit) {
  EXPECT_EQ(*Rate::parse("10/s", ""), (Rate{100ms, 50}));
  EXPECT_EQ(*Rate::parse("600/m", ""), (Rate{100ms, 50}));
  EXPECT_EQ(*Rate::parse("6/m", ""), (Rate{10s, 1})) << "at least one";
  EXPECT_EQ(*Rate::parse("36000/h", "3"), (Rate{100ms, 3}));
  for (const char* bad : {"", "10", "10/", "/s", "0/s", "-1/s", "10/d", "10/s/m", "1000001/s", "ten/s"})
    EXPECT_EQ(Rate::parse(bad, "").error().message,
              "must be a number from 1 to 1000000 and a unit, like 10/s, 600/m or 36000/h, not \"" + std::string(bad) + "\"");
  EXPECT_EQ(Rate::parse("1/s", "0").error().message, "burst must be a number from 1 to 1000000, not \"0\"");
}

TEST(RateLimit, LetsABurstThroughAndThenTheRate) {
  RateLimit limit({100ms, 3});
  const Instant begin = Instant() + 1h;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limit.admit("10.0.0.1:1", begin), 0ms) << i;
  EXPECT_EQ(limit.admit("10.0.0.1:2", begin), 100ms) << "the port is not the client";
  EXPECT_EQ(limit.admit("10.0.0.1:1", begin + 60ms), 40ms) << "what is refused costs nothing";
  EXPECT_EQ(limit.admit("10.0.0.1:1", begin + 100ms), 0ms);
  EXPECT_EQ(limit.admit("10.0.0.1:1", begin + 100ms), 100ms);
  EXPECT_EQ(limit.admit("10.0.0.2:1", begin), 0ms) << "another client";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limit.admit("10.0.0.1:1", begin + 10s), 0ms) << i;
  EXPECT_EQ(limit.admit("10.0.0.1:1", begin + 10s), 100ms) << "what was not used is not saved up beyond the burst";
}

TEST(RateLimit, AnIpv6NetworkIsOneClient) {
  RateLimit limit({1s, 1});
  const Instant begin = Instant() + 1h;
  EXPECT_EQ(limit.admit("[2001:db8:0:1::1]:1", begin), 0s);
  EXPECT_EQ(limit.admit("[2001:db8:0:1:ffff::2]:9", begin), 1s);
  EXPECT_EQ(limit.admit("[2001:db8:0:2::1]:1", begin), 0s);
}

TEST(RateLimit, ManyClientsTakeNoMoreThanTheirRoom) {
  RateLimit limit({1h, 1});
  const Instant begin = Instant() + 1h;
  size_t admitted = 0;
  for (uint32_t i = 0; i < 300'000; ++i)
    admitted += limit.admit("10." + std::to_string(i >> 16) + "." + std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255) + ":1",
                            begin) == Duration(0);
  EXPECT_EQ(admitted, 300'000u) << "new clients push out others, and are not refused";
}

TEST(RateLimit, AClientThatKeepsComingIsNotPushedOut) {
  RateLimit limit({1h, 1});
  const Instant begin = Instant() + 1h;
  EXPECT_EQ(limit.admit("192.168.0.1:1", begin), 0s);
  for (uint32_t i = 0; i < 300'000; ++i) {
    limit.admit("10." + std::to_string(i >> 16) + "." + std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255) + ":1", begin);
    if (i % 1000 == 0) ASSERT_EQ(limit.admit("192.168.0.1:1", begin), 1h) << i;
  }
}

TEST(RateLimits, AreKeptWhileTheirRateIsTheSame) {
  RateLimits limits;
  const auto one = limits.of("shop/web", {1s, 1});
  EXPECT_EQ(limits.of("shop/web", {1s, 1}), one);
  EXPECT_NE(limits.of("shop/api", {1s, 1}), one);
  EXPECT_NE(limits.of("shop/web", {1s, 2}), one);
}

}  // namespace
}  // namespace estiba::ingress
