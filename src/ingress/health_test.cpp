#include "ingress/health.h"

#include <gtest/gtest.h>

namespace estiba::ingress {
namespace {

using namespace std::chrono_literals;

TEST(Health, AnEndpointIsEjectedForLongerEachTime) {
  const EjectionRule rule{.after = 2, .first = 30s, .longest = 100s};
  Health health;
  Instant now = Instant() + 1h;
  for (const Duration length : {30s, 60s, 100s, 100s}) {
    health.failed(rule, now);
    EXPECT_FALSE(health.is_ejected(now)) << "one failure is none";
    health.failed(rule, now);
    EXPECT_TRUE(health.is_ejected(now));
    for (int i = 0; i < 5; ++i) health.failed(rule, now);  // what was under way
    EXPECT_TRUE(health.is_ejected(now + length - 1ns));
    now += length;
    EXPECT_FALSE(health.is_ejected(now)) << "it has another chance";
    health.succeeded(now);
  }
}

TEST(Health, WhatHasBeenWellForAWhileBeginsAnew) {
  const EjectionRule rule{.after = 1, .first = 30s, .longest = 300s};
  Health health;
  Instant now = Instant() + 1h;
  health.failed(rule, now);
  health.failed(rule, now += 30s);
  now += 60s;  // its second ejection is over
  health.succeeded(now + 30s);
  health.failed(rule, now + 31s);
  EXPECT_TRUE(health.is_ejected(now + 31s + 119s)) << "half of it was not long enough";
  now += 31s + 120s;
  health.succeeded(now + 121s);
  health.failed(rule, now + 122s);
  EXPECT_TRUE(health.is_ejected(now + 122s + 29s));
  EXPECT_FALSE(health.is_ejected(now + 122s + 30s));
}

TEST(Health, ASuccessBetweenFailuresCounts) {
  const EjectionRule rule{.after = 2};
  Health health;
  const Instant now = Instant() + 1h;
  for (int i = 0; i < 10; ++i) {
    health.failed(rule, now);
    health.succeeded(now);
  }
  EXPECT_FALSE(health.is_ejected(now));
  const EjectionRule never{.after = 0};
  for (int i = 0; i < 10; ++i) health.failed(never, now);
  EXPECT_FALSE(health.is_ejected(now));
}

TEST(Health, WhatCannotBeReachedIsAskedLastForAWhile) {
  Health health;
  const Instant now = Instant() + 1h;
  health.unreachable(now);
  EXPECT_TRUE(health.is_unreachable(now + 10s - 1ns));
  EXPECT_FALSE(health.is_unreachable(now + 10s));
  EXPECT_FALSE(health.is_ejected(now));
}

}  // namespace
}  // namespace estiba::ingress
