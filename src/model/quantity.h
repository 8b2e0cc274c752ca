// Quantity: "500m", "64Mi", "1e3": a decimal number with a suffix, exact, printed in Kubernetes' canonical form.
//
// The value is digits × 10^exponent in 128 bits; what is finer than a billionth is rounded up, what is larger than fits is
// refused. The format (decimal, binary or exponent suffixes) is kept from the text, as Kubernetes does.
#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::model {

class Quantity {
 public:
  enum class Format : uint8_t { decimal, binary, exponent };

  Quantity() = default;
  static Result<Quantity> parse(std::string_view text);
  static Quantity of(int64_t value, Format format = Format::decimal);
  static Quantity milli(int64_t value);

  /// Canonical: no fraction, the largest suffix that keeps it whole: "0.5" → "500m", "1024Mi" → "1Gi", "2000m" → "2".
  std::string print() const;

  /// Rounded up to whole units; INT64_MAX when it is larger.
  int64_t to_int64() const;
  /// In thousandths, rounded up; INT64_MAX when it is larger.
  int64_t to_milli() const;
  double to_double() const { return double(nano_) / 1e9; }

  bool is_zero() const { return nano_ == 0; }
  bool is_negative() const { return nano_ < 0; }
  Format format() const { return format_; }

  Quantity& operator+=(const Quantity& other);
  Quantity& operator-=(const Quantity& other);
  friend Quantity operator+(Quantity a, const Quantity& b) { return a += b; }
  friend Quantity operator-(Quantity a, const Quantity& b) { return a -= b; }
  /// By value; the format does not matter.
  std::strong_ordering operator<=>(const Quantity& other) const { return nano_ <=> other.nano_; }
  bool operator==(const Quantity& other) const { return nano_ == other.nano_; }

 private:
  __int128 nano_ = 0;  // billionths
  Format format_ = Format::decimal;
};

/// The canonical text of a quantity, or the text itself when it is none.
std::string canonical_quantity(std::string_view text);

/// The value of a text that has been validated: anything else counts as zero.
int64_t quantity_to_int64(std::string_view text);
int64_t quantity_to_milli(std::string_view text);

}  // namespace estiba::model
