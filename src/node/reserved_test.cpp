#include "node/reserved.h"

#include <gtest/gtest.h>

namespace estiba::node {
namespace {

std::map<std::string, std::string> left(std::string_view reserved) {
  std::map<std::string, std::string> out{{"cpu", "4"}, {"memory", "8388608Ki"}, {"pods", "110"}};
  auto parsed = parse_reserved(reserved);
  EXPECT_TRUE(parsed) << parsed.error().message;
  set_apart(out, parsed.value_or(model::ResourceList{}));
  return out;
}
std::string refusal(std::string_view reserved) {
  auto parsed = parse_reserved(reserved);
  return parsed ? "" : parsed.error().message;
}

TEST(Reserved, IsTakenFromWhatPodsMayHave) {
  using Map = std::map<std::string, std::string>;
  EXPECT_EQ(left("cpu=500m,memory=1Gi"), (Map{{"cpu", "3500m"}, {"memory", "7340032Ki"}, {"pods", "110"}}));
  EXPECT_EQ(left("cpu=5,memory=1Ti,ephemeral-storage=1Gi"), (Map{{"cpu", "0"}, {"memory", "0Ki"}, {"pods", "110"}}));
  EXPECT_EQ(left(""), (Map{{"cpu", "4"}, {"memory", "8388608Ki"}, {"pods", "110"}}));
}

TEST(Reserved, WhatIsWrongIsNamed) {
  EXPECT_EQ(refusal("cpu"), "\"cpu\" must be RESOURCE=QUANTITY, such as cpu=500m");
  EXPECT_EQ(refusal("pods=1"), "\"pods\" cannot be set apart: cpu, memory and ephemeral-storage can");
  EXPECT_EQ(refusal("cpu=-1"), "cpu: it cannot be negative");
  EXPECT_EQ(refusal("cpu=1,cpu=2"), "cpu is there twice");
  EXPECT_TRUE(refusal("cpu=many").starts_with("cpu: ")) << refusal("cpu=many");
}

}  // namespace
}  // namespace estiba::node
