#include "base/address.h"

#include <gtest/gtest.h>

namespace estiba {
namespace {

TEST(AddressTest, NumbersOfBothFamilies) {
  const Address four = *Address::parse("10.42.0.5"), six = *Address::parse("fd00:42::1:5");
  EXPECT_EQ(Address::from_value(four.value(), false), four);
  EXPECT_EQ(Address::from_value(six.value() + 1, true).text(), "fd00:42::1:6");
  EXPECT_EQ(Address::from_value(~AddressNumber(0), true).text(), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  EXPECT_LT(*Address::parse("255.0.0.0"), *Address::parse("::")) << "IPv4 comes first";
  EXPECT_LT(*Address::parse("fd00::ff"), *Address::parse("fd00::100"));
  EXPECT_TRUE(Address::parse("::")->is_zero());
  EXPECT_FALSE(six.is_zero());
}

TEST(AddressTest, TheNthOfAPrefix) {
  EXPECT_EQ(Prefix::parse("10.42.0.0/16")->nth(258)->text(), "10.42.1.2");
  EXPECT_FALSE(Prefix::parse("10.42.0.0/16")->nth(65536));
  EXPECT_EQ(Prefix::parse("0.0.0.0/0")->nth(0xffffffff)->text(), "255.255.255.255");
  EXPECT_EQ(Prefix::parse("fd00::/64")->nth(~uint64_t(0))->text(), "fd00::ffff:ffff:ffff:ffff");
  EXPECT_EQ(Prefix::parse("fd00::/112")->nth(10)->text(), "fd00::a");
  EXPECT_FALSE(Prefix::parse("fd00::/112")->nth(65536));
  EXPECT_FALSE(Prefix::parse("fd00::1/128")->nth(1));
  EXPECT_EQ(Prefix::parse("fd00::/112")->last().text(), "fd00::ffff");
  EXPECT_EQ(Prefix::parse("10.0.0.0/30")->last().text(), "10.0.0.3");
  const Prefix range = *Prefix::parse("fd00:0:0:1::/64");
  EXPECT_EQ(uint64_t(range.index_of(*Address::parse("fd00:0:0:1::7"))), 7u);
  EXPECT_TRUE(range.overlaps(*Prefix::parse("fd00::/48")));
  EXPECT_FALSE(range.overlaps(*Prefix::parse("0.0.0.0/0")));
}

TEST(AddressTest, RangesAreOneOfEachFamily) {
  auto both = parse_ranges("fd00:42::/56, 10.42.0.0/16");
  ASSERT_TRUE(both) << both.error().message;
  ASSERT_EQ(both->size(), 2u);
  EXPECT_TRUE(both->front().address.v6) << "the first is primary";
  EXPECT_EQ(range_of_family(*both, false)->text(), "10.42.0.0/16");
  EXPECT_EQ(range_of_family(*parse_ranges("10.42.0.0/16"), true), nullptr);
  for (const char* bad : {"", "10.0.0.0/8,", "10.0.0.0/8,10.1.0.0/16", "fd00::/64,10.0.0.0/8,fd01::/64", "10.0.0.1/8", "fd00::/129"})
    EXPECT_FALSE(parse_ranges(bad)) << bad;
}

}  // namespace
}  // namespace estiba
