#include "base/signals.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

namespace estiba {
namespace {

TEST(Signals, NamesInAllTheirForms) {
  for (const char* text : {"SIGTERM", "sigterm", "TERM", "term", "15"}) EXPECT_EQ(signal_number(text), SIGTERM) << text;
  EXPECT_EQ(signal_number("RTMIN"), 34);
  EXPECT_EQ(signal_number("SIGRTMIN+15"), 49);
  EXPECT_EQ(signal_number("rtmax-14"), 50);
  EXPECT_EQ(signal_number("SIGRTMAX"), 64);
  for (const char* bad : {"", "0", "65", "-1", "SIG", "SIGNONE", "RTMIN+16", "RTMAX-15", "RTMIN-1", "RTMIN+", "RTMINX"})
    EXPECT_FALSE(signal_number(bad)) << bad;
}

TEST(Signals, EveryNumberHasANameThatIsReadAgain) {
  for (int number = 1; number <= 64; ++number) {
    const std::string name = signal_name(number);
    EXPECT_EQ(name.empty(), number == 32 || number == 33) << number;  // the C library's own
    if (!name.empty()) EXPECT_EQ(signal_number(name), number) << name;
  }
  EXPECT_EQ(signal_name(SIGABRT), "SIGABRT");
  EXPECT_EQ(signal_name(37), "SIGRTMIN+3");
  EXPECT_EQ(signal_name(0), "");
}

TEST(Signals, TheTableIsInAlphabeticalOrder) {
  EXPECT_TRUE(std::ranges::is_sorted(named_signals(), {}, [](const auto& named) { return named.first; }));
  EXPECT_EQ(named_signals().size(), 34u);
}

}  // namespace
}  // namespace estiba
