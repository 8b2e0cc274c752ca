#include "model/cdi_name.h"

#include <gtest/gtest.h>

namespace estiba::model {
namespace {

TEST(CdiNameTest, HasVendorClassAndDevice) {
  const auto name = parse_cdi_name("vendor.com/gpu-x.y=0:card_1");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->kind, "vendor.com/gpu-x.y");
  EXPECT_EQ(name->device, "0:card_1");
  for (const char* good : {"v/c=d", "vendor.com/class=all", "V.com/c=9"}) EXPECT_TRUE(parse_cdi_name(good)) << good;
  for (const char* bad :
       {"", "/dev/gpu", "/dev/gpu:/dev/x:rwm", "vendor.com/gpu", "gpu=0", "vendor.com/gpu=", "vendor.com/=0", "/gpu=0", "9v.com/gpu=0",
        "vendor.com-/gpu=0", "vendor.com/gpu=0-", "vendor.com/gpu=-0", "vendor.com/gpu/x=0", "vendor.com/g u=0", "./x/gpu=0"})
    EXPECT_FALSE(parse_cdi_name(bad)) << bad;
}

}  // namespace
}  // namespace estiba::model
