#include "apiserver/kept.h"

#include <gtest/gtest.h>

namespace estiba::apiserver {
namespace {

TEST(PackedTexts, GiveBackWhatWasPutIn) {
  const std::vector<std::string> texts = {
      "", "a", std::string(127, 'b'), std::string(128, 'c'), std::string("\0\xff", 2), std::string(70'000, 'd'), ""};
  const PackedTexts packed(texts);
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(packed[i], texts[i]) << i;
  EXPECT_EQ(packed[texts.size()], "");
  EXPECT_EQ(PackedTexts()[0], "");
}

}  // namespace
}  // namespace estiba::apiserver
