#include "node/dra/prepared.h"

#include <gtest/gtest.h>

namespace estiba::node {
namespace {

PreparedClaim claim(const std::string& name, std::set<std::string> pods) {
  PreparedClaim out{.ns = "x", .name = name, .uid = "uid-" + name, .pods = std::move(pods), .drivers = {}};
  out.drivers["d.io"].push_back(
      {.request_names = {"r"}, .pool_name = "p", .device_name = "g", .cdi_device_ids = {"d.io/gpu=g"}, .share_id = "s"});
  return out;
}

TEST(PreparedClaims, AreFoundByPods) {
  PreparedClaims claims;
  claims.add(claim("a", {"one", "two"}));
  claims.add(claim("b", {"two"}));
  EXPECT_TRUE(claims.has("one"));
  EXPECT_FALSE(claims.has("three"));
  EXPECT_EQ(claims.of_pod("two").size(), 2u);
  EXPECT_EQ(claims.pods(), (std::set<std::string>{"one", "two"}));
  claims.remove("x", "a");
  EXPECT_FALSE(claims.has("one"));
  EXPECT_EQ(claims.find("x", "a"), nullptr);
}

TEST(PreparedClaims, OutliveTheServer) {
  PreparedClaims before, after;
  before.add(claim("a", {"one"})).prepared = true;
  before.add(claim("b", {}));
  ASSERT_TRUE(after.load(before.save()));
  EXPECT_EQ(after.save(), before.save());
  const PreparedClaim* a = std::as_const(after).find("x", "a");
  ASSERT_TRUE(a);
  EXPECT_FALSE(a->prepared) << "the machine may have been started again";
  EXPECT_EQ(a->pods, std::set<std::string>{"one"});
  EXPECT_EQ(a->drivers.at("d.io")[0].cdi_device_ids, std::vector<std::string>{"d.io/gpu=g"});
  EXPECT_EQ(a->drivers.at("d.io")[0].share_id, "s");
}

TEST(PreparedClaims, WhatCannotBeReadIsSaid) {
  PreparedClaims claims;
  EXPECT_FALSE(claims.load("{"));
  EXPECT_EQ(claims.load("{}").error().message, "\"claims\" are expected");
  EXPECT_EQ(claims.load(R"({"claims":[{"name":"a","uid":"u","namespace":"x","drivers":{"d":["%"]}}]})").error().message,
            "the devices of claim x/a cannot be read");
}

}  // namespace
}  // namespace estiba::node
