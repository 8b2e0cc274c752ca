#include "network/bandwidth.h"

#include <gtest/gtest.h>

namespace estiba::network {
namespace {

TEST(PodBandwidth, IsOfTheAnnotations) {
  const auto both = bandwidth_of({{"a", "b"}, {"kubernetes.io/egress-bandwidth", "500k"}, {"kubernetes.io/ingress-bandwidth", "10M"}});
  ASSERT_TRUE(both);
  EXPECT_EQ(*both, (Bandwidth{10'000'000, 500'000}));
  EXPECT_FALSE(bandwidth_of({})->any());
  for (const char* wrong : {"", "fast", "999", "2P", "-10M"}) {
    const auto refused = bandwidth_of({{"kubernetes.io/ingress-bandwidth", wrong}});
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(
        refused.error().message,
        "the annotation kubernetes.io/ingress-bandwidth must be bits a second from 1k to 1P, as 10M, not \"" + std::string(wrong) + "\"");
  }
  EXPECT_TRUE(bandwidth_of({{"kubernetes.io/ingress-bandwidth", "1P"}}));
}

}  // namespace
}  // namespace estiba::network
