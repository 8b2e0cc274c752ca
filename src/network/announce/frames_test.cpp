#include "network/announce/frames.h"

#include <gtest/gtest.h>

#include "base/strings.h"

namespace estiba::network::announce {
namespace {

const Mac own{2, 0, 0, 0, 0, 1}, other{2, 0, 0, 0, 0, 2};
Address address(std::string_view text) { return *Address::parse(text); }

TEST(AnnounceFrames, AnArpIsAsTheRfcHasIt) {
  const std::string asked = question(address("192.0.2.9"), own, address("192.0.2.1"), {});
  EXPECT_EQ(hex_encode(asked),
            "ffffffffffff0200000000010806"
            "0001080006040001"
            "020000000001c0000201"
            "000000000000c0000209");
  EXPECT_EQ(hex_encode(question(address("192.0.2.9"), own, {}, other)).substr(0, 12), "020000000002");
  const auto heard = parse(asked);
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->kind, Heard::Kind::question);
  EXPECT_EQ(hex_encode(answer(*heard, other)),
            "0200000000010200000000020806"
            "0001080006040002"
            "020000000002c0000209"
            "020000000001c0000201");
  EXPECT_EQ(parse(answer(*heard, other))->kind, Heard::Kind::answer);
  const auto claims = claim(address("192.0.2.9"), own);
  ASSERT_EQ(claims.size(), 2u);
  for (const std::string& frame : claims) {
    EXPECT_EQ(frame.substr(0, 6), std::string(6, '\xff'));
    EXPECT_EQ(parse(frame)->kind, Heard::Kind::claim);
    EXPECT_EQ(parse(frame)->from, own);
    EXPECT_EQ(parse(frame)->address.text(), "192.0.2.9");
  }
}

TEST(AnnounceFrames, NeighbourDiscoveryIsAsTheRfcHasIt) {
  const Address about = address("2001:db8::12:3456"), mine = address("fe80::1");
  EXPECT_EQ(solicited_node(about).text(), "ff02::1:ff12:3456");
  const std::string asked = question(about, own, mine, {});
  // The checksum was computed apart, as RFC 4443 section 2.3 has it.
  EXPECT_EQ(hex_encode(asked),
            "3333ff123456"
            "020000000001"
            "86dd"
            "6000000000203aff"
            "fe800000000000000000000000000001"
            "ff0200000000000000000001ff123456"
            "8700" +
                hex_encode(asked.substr(56, 2)) +
                "00000000"
                "20010db8000000000000000000123456"
                "0101020000000001");
  const auto heard = parse(asked);
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->kind, Heard::Kind::question);
  EXPECT_EQ(heard->asker.text(), "fe80::1");
  EXPECT_EQ(heard->from, own);
  const auto answered = parse(answer(*heard, other));
  ASSERT_TRUE(answered);
  EXPECT_EQ(answered->kind, Heard::Kind::answer);
  EXPECT_EQ(answered->from, other);
  const auto claimed = parse(claim(about, own).front());
  ASSERT_TRUE(claimed);
  EXPECT_EQ(claimed->kind, Heard::Kind::claim);
  EXPECT_EQ(claimed->address.text(), about.text());
  // One who asks without an address is answered through everybody.
  const auto nameless = parse(question(about, own, {.v6 = true}, {}));
  ASSERT_TRUE(nameless);
  EXPECT_EQ(answer(*nameless, other).substr(0, 6), std::string("\x33\x33\0\0\0\x01", 6));
  EXPECT_EQ(parse(question(about, own, mine, other))->kind, Heard::Kind::question);
  EXPECT_EQ(hex_encode(question(about, own, mine, other)).substr(0, 12), "020000000002");
}

TEST(AnnounceFrames, WhatIsBrokenSaysNothing) {
  for (std::string frame :
       {question(address("192.0.2.9"), own, address("192.0.2.1"), {}), question(address("2001:db8::1"), own, address("fe80::1"), {})}) {
    for (size_t size = 0; size < frame.size(); ++size) {
      const auto heard = parse(frame.substr(0, size));
      EXPECT_TRUE(!heard || heard->address.v6) << size;  // an option that is cut off is left out
    }
    for (size_t at = 0; at < frame.size(); ++at) {
      std::string wrong = frame;
      wrong[at] ^= 0xff;
      (void)parse(wrong);
    }
  }
  std::string passed_on = question(address("2001:db8::1"), own, address("fe80::1"), {});
  passed_on[14 + 7] = char(254);
  EXPECT_FALSE(parse(passed_on)) << "no router passes it on";
  std::string endless = question(address("2001:db8::1"), own, address("fe80::1"), {});
  endless[14 + 40 + 24 + 1] = 0;
  EXPECT_FALSE(parse(endless)) << "an option without a length";
}

}  // namespace
}  // namespace estiba::network::announce
