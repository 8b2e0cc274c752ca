#include "client/finalizers.h"

#include <gtest/gtest.h>

namespace estiba::client {
namespace {

TEST(Finalizers, OneIsPutOnOrTakenOffAndTheOthersStay) {
  const model::ObjectRef object{
      *model::Object::parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","uid":"u","finalizers":["a/x","b/y"]}})"), 7};
  EXPECT_TRUE(has_finalizer(object.meta(), "b/y"));
  EXPECT_FALSE(has_finalizer(object.meta(), "b"));
  EXPECT_EQ(finalizer_patch(object, "a/x", false), R"({"metadata":{"uid":"u","resourceVersion":"7","finalizers":["b/y"]}})");
  EXPECT_EQ(finalizer_patch(object, "c/z", true), R"({"metadata":{"uid":"u","resourceVersion":"7","finalizers":["a/x","b/y","c/z"]}})");
}

}  // namespace
}  // namespace estiba::client
