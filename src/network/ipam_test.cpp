#include "network/ipam.h"

#include <gtest/gtest.h>

namespace estiba::network {

TEST(Address, ParsesAndPrintsBothFamilies) {
  EXPECT_EQ(Address::parse("10.42.0.5")->text(), "10.42.0.5");
  EXPECT_EQ(Address::parse("10.42.0.5")->number(), 0x0a2a0005u);
  EXPECT_EQ(Address::from_number(0x0a2a0005), *Address::parse("10.42.0.5"));
  EXPECT_EQ(Address::parse("FD00:0::1")->text(), "fd00::1");
  for (const char* bad : {"", "10.42.0", "10.42.0.256", "010.1.1.1", "10.1.1.1 ", "fd00:::1", "x"})
    EXPECT_EQ(Address::parse(bad).error().code, Code::malformed) << bad;
}

TEST(Prefix, ContainsWhatItCovers) {
  auto prefix = *Prefix::parse("10.42.4.0/22");
  EXPECT_TRUE(prefix.contains(*Address::parse("10.42.7.255")));
  EXPECT_FALSE(prefix.contains(*Address::parse("10.42.8.0")));
  EXPECT_FALSE(prefix.contains(*Address::parse("fd00::1")));
  EXPECT_TRUE(Prefix::parse("0.0.0.0/0")->contains(*Address::parse("255.1.2.3")));
  EXPECT_EQ(prefix.nth(1023)->text(), "10.42.7.255");
  EXPECT_EQ(prefix.nth(1024).error().code, Code::exhausted);
  for (const char* bad : {"10.42.0.0", "10.42.0.0/", "10.42.0.0/33", "10.42.0.0/-1", "10.42.0.1/24", "/24"})
    EXPECT_FALSE(Prefix::parse(bad)) << bad;
}

class IpamTest : public testing::Test {
 protected:
  IpamTest() {
    char dir[] = "/tmp/estiba-ipam-XXXXXX";
    dir_ = mkdtemp(dir);
  }
  ~IpamTest() override { EXPECT_EQ(system(("rm -r " + dir_).c_str()), 0); }
  static void write(const std::string& path, const std::string& text) {
    FILE* file = fopen(path.c_str(), "w");
    fwrite(text.data(), 1, text.size(), file);
    fclose(file);
  }
  std::string dir_;
  const Prefix cidr_ = *Prefix::parse("10.42.0.0/29");
};

TEST_F(IpamTest, AddressesGoInACircleAndSurviveARestart) {
  Address second;
  {
    Ipam ipam({cidr_}, dir_ + "/a/b");
    ASSERT_TRUE(ipam.load());
    EXPECT_EQ(ipam.take()->text(), "10.42.0.2");
    second = *ipam.take();
    ASSERT_TRUE(ipam.update(
        second,
        {.state = Record::State::pod,
         .pod = {.uid = "u", .ns = "ns", .name = "n", .host_ports = {{Protocol::sctp, 1, 2}, {Protocol::tcp, 3, 4, "192.0.2.1"}}}}));
    ASSERT_TRUE(ipam.release(*Address::parse("10.42.0.2")));
  }
  Ipam ipam({cidr_}, dir_ + "/a/b");
  ASSERT_TRUE(ipam.load());
  ASSERT_EQ(ipam.records().size(), 1u);
  const Record& record = ipam.records().at(second);
  EXPECT_TRUE(record.state == Record::State::pod && record.pod.uid == "u" && record.pod.ns == "ns" && record.pod.name == "n");
  EXPECT_EQ(record.pod.host_ports, (std::vector<HostPort>{{Protocol::sctp, 1, 2}, {Protocol::tcp, 3, 4, "192.0.2.1"}}));
  for (const char* next : {"10.42.0.4", "10.42.0.5", "10.42.0.6", "10.42.0.2"}) EXPECT_EQ(ipam.take()->text(), next);
  EXPECT_EQ(ipam.take().error().message, "no address is free in 10.42.0.0/29: 5 are in use");
}

TEST_F(IpamTest, AddressesOfBothFamiliesGoTogether) {
  const std::vector<Prefix> parts{*Prefix::parse("fd00:42::/64"), cidr_};
  {
    Ipam ipam(parts, dir_);
    ASSERT_TRUE(ipam.load());
    const Address first = *ipam.take();
    EXPECT_EQ(first.text(), "fd00:42::2");
    EXPECT_EQ(ipam.all_of(first)[1].text(), "10.42.0.2");
    ASSERT_TRUE(ipam.update(first, {.state = Record::State::pod, .pod = {.uid = "u"}}));
    for (int i = 3; i < 7; ++i) EXPECT_EQ(ipam.all_of(*ipam.take())[1].text(), "10.42.0." + std::to_string(i));
    EXPECT_EQ(ipam.take().error().code, Code::exhausted) << "the smaller range is used up";
  }
  // A pod keeps what it was given, whatever the node has now.
  Ipam ipam({parts[0]}, dir_);
  ASSERT_TRUE(ipam.load());
  const Address kept = *Address::parse("fd00:42::2");
  ASSERT_TRUE(ipam.update(kept, {.state = Record::State::pod, .pod = {.uid = "v"}}));
  EXPECT_EQ(ipam.all_of(kept).size(), 2u);
  const Address fresh = *ipam.take();
  EXPECT_EQ(fresh.text(), "fd00:42::7");
  EXPECT_EQ(ipam.all_of(fresh).size(), 1u);
}

TEST_F(IpamTest, ADamagedRecordKeepsItsAddressUntilItIsCleared) {
  {
    Ipam ipam({cidr_}, dir_);
    ASSERT_TRUE(ipam.load());
    ASSERT_TRUE(ipam.take());
  }
  write(dir_ + "/addresses/10.42.0.2", "state pod\n\x01\xff garbage");
  write(dir_ + "/addresses/10.42.0.3.tmp", "half a rec");
  write(dir_ + "/addresses/README", "?");
  Ipam ipam({cidr_}, dir_);
  ASSERT_TRUE(ipam.load());
  ASSERT_EQ(ipam.records().size(), 1u);
  EXPECT_EQ(ipam.records().begin()->second.state, Record::State::partial);
}

}  // namespace estiba::network
