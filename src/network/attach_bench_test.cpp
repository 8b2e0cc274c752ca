#include <chrono>

#include "network/pod_network.h"
#include "network/testing.h"

namespace estiba::network {

class AttachTiming : public NetTest {};

static double microseconds(auto since) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - since).count();
}

// Prints, never fails on a clock.
TEST_F(AttachTiming, WarmAndCold) {
  PodNetwork net({.run_dir = dir_, .bridge = "estiba0", .sides = *sides_of("10.42.0.0/24", "", "10.43.0.0/16"), .pool = 5});
  auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(net.start());
  printf("start %.0f us\n", microseconds(began));
  std::vector<double> cold, warm, gone;
  for (int i = 0; i < 5; ++i) {
    auto begin = std::chrono::steady_clock::now();
    ASSERT_TRUE(net.attach({.uid = "cold" + std::to_string(i)}));
    cold.push_back(microseconds(begin));
  }
  while (*net.refill()) {
  }
  for (int i = 0; i < 5; ++i) {
    auto begin = std::chrono::steady_clock::now();
    ASSERT_TRUE(net.attach({.uid = "warm" + std::to_string(i)}));
    warm.push_back(microseconds(begin));
  }
  for (int i = 0; i < 5; ++i) {
    auto begin = std::chrono::steady_clock::now();
    ASSERT_TRUE(net.detach("cold" + std::to_string(i)));
    gone.push_back(microseconds(begin));
  }
  auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(*net.sweep());
  double swept = microseconds(begin);
  for (auto* all : {&cold, &warm, &gone}) std::ranges::sort(*all);
  printf("attach cold %.0f us, warm %.0f us, detach %.0f us (medians of 5), sweep of 5 %.0f us\n", cold[2], warm[2], gone[2], swept);
  ASSERT_TRUE(net.remove_all());
}

}  // namespace estiba::network
