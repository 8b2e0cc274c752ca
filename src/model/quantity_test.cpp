#include "model/quantity.h"

#include <gtest/gtest.h>

namespace estiba::model {
namespace {

std::string canonical(std::string_view text) {
  auto quantity = Quantity::parse(text);
  return quantity ? quantity->print() : "error";
}

TEST(Quantity, PrintsCanonically) {
  EXPECT_EQ(canonical("0.5"), "500m");
  EXPECT_EQ(canonical("2000m"), "2");
  EXPECT_EQ(canonical("1000"), "1k");
  EXPECT_EQ(canonical("1500"), "1500");
  EXPECT_EQ(canonical("1024Mi"), "1Gi");
  EXPECT_EQ(canonical("1000Mi"), "1000Mi");
  EXPECT_EQ(canonical("1.5Gi"), "1536Mi");
  EXPECT_EQ(canonical("0.5Ki"), "512");
  EXPECT_EQ(canonical("0.11Ei"), "126821365506753167360m");
  EXPECT_EQ(canonical("-0.11Ei"), "-126821365506753167360m");
  EXPECT_EQ(canonical("1000000000000000000.000000001"), "1000000000000000000000000001n");
  EXPECT_EQ(canonical("0.1Ki"), "102400m");
  EXPECT_EQ(canonical("1e3"), "1e3");
  EXPECT_EQ(canonical("12e5"), "1200e3");
  EXPECT_EQ(canonical("1E"), "1E");
  EXPECT_EQ(canonical("0"), "0");
  EXPECT_EQ(canonical("0Mi"), "0");
  EXPECT_EQ(canonical("-1.5"), "-1500m");
  EXPECT_EQ(canonical("+2"), "2");
  EXPECT_EQ(canonical(".5"), "500m");
  EXPECT_EQ(canonical("5."), "5");
  EXPECT_EQ(canonical("100n"), "100n");
  EXPECT_EQ(canonical("0.1n"), "1n");
  EXPECT_EQ(canonical("64000000000"), "64G");
}

TEST(Quantity, RefusesWhatIsNone) {
  for (const char* text : {"", "-", ".", "1.1.1", "1KI", "1kb", "abc", "1 ", " 1", "1e", "1e+", "1e+-3", "Mi", "1i", "--1"})
    EXPECT_EQ(canonical(text), "error") << text;
}

TEST(Quantity, RoundsUpAndStaysWithinRange) {
  EXPECT_EQ(quantity_to_int64("1500m"), 2);
  EXPECT_EQ(quantity_to_int64("-1500m"), -1);
  EXPECT_EQ(quantity_to_milli("1.0001"), 1001);
  EXPECT_EQ(quantity_to_milli("250m"), 250);
  EXPECT_EQ(quantity_to_int64("64Mi"), 64 << 20);
  EXPECT_EQ(quantity_to_int64("7Ei"), int64_t(7) << 60);
  EXPECT_EQ(quantity_to_int64("8Ei"), INT64_MAX);
  EXPECT_EQ(quantity_to_int64("1e100"), INT64_MAX);
  EXPECT_EQ(quantity_to_int64("99999999999999999999999999999999999"), INT64_MAX);
  EXPECT_EQ(quantity_to_int64("0.00000000000000000000000000000000000001"), 1);
  EXPECT_EQ(quantity_to_int64("1e-100"), 1);
  EXPECT_EQ(quantity_to_int64("x"), 0);
}

TEST(Quantity, ComparesAndAddsByValue) {
  const auto q = [](std::string_view text) { return *Quantity::parse(text); };
  EXPECT_EQ(q("1000m"), q("1"));
  EXPECT_LT(q("1G"), q("1Gi"));
  EXPECT_EQ((q("0") + q("64Mi") + q("64Mi")).print(), "128Mi");
  EXPECT_EQ((q("2") - q("500m")).print(), "1500m");
  EXPECT_EQ(Quantity::milli(1500).print(), "1500m");
  EXPECT_EQ(Quantity::of(1 << 20, Quantity::Format::binary).print(), "1Mi");
}

}  // namespace
}  // namespace estiba::model
