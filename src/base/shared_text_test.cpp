#include "base/shared_text.h"

#include <gtest/gtest.h>

namespace estiba {
namespace {

TEST(SharedText, CopiesOwnTheSameBytes) {
  SharedText first("some text");
  SharedText second = first;
  EXPECT_TRUE(second.shares(first));
  EXPECT_EQ(first.data(), second.data());
  first = SharedText("other");
  EXPECT_EQ(second, "some text");
  EXPECT_EQ(first, "other");
}

TEST(SharedText, BytesOutliveTheOwnerThatMadeThem) {
  SharedText kept;
  {
    SharedText made(std::string(1000, 'x'));
    kept = made;
  }
  EXPECT_EQ(kept, std::string(1000, 'x'));
}

TEST(SharedText, EmptyTextHasNoNullPointer) {
  EXPECT_NE(SharedText().data(), nullptr);
  EXPECT_TRUE(SharedText("").empty());
  SharedText moved("text");
  SharedText to = std::move(moved);
  EXPECT_EQ(to, "text");
}

}  // namespace
}  // namespace estiba
