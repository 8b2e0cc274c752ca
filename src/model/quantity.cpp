#include "model/quantity.h"

#include <algorithm>
#include <charconv>

namespace estiba::model {

using Wide = __int128;

static constexpr int64_t nano_per_unit = 1'000'000'000;
static constexpr Wide largest = Wide(INT64_MAX) * nano_per_unit;

struct Suffix {
  std::string_view text;
  Quantity::Format format;
  int power;  // of 10, or of 2 for binary ones
};
static constexpr Suffix suffixes[] = {
    {"n", Quantity::Format::decimal, -9}, {"u", Quantity::Format::decimal, -6}, {"m", Quantity::Format::decimal, -3},
    {"", Quantity::Format::decimal, 0},   {"k", Quantity::Format::decimal, 3},  {"M", Quantity::Format::decimal, 6},
    {"G", Quantity::Format::decimal, 9},  {"T", Quantity::Format::decimal, 12}, {"P", Quantity::Format::decimal, 15},
    {"E", Quantity::Format::decimal, 18}, {"Ki", Quantity::Format::binary, 10}, {"Mi", Quantity::Format::binary, 20},
    {"Gi", Quantity::Format::binary, 30}, {"Ti", Quantity::Format::binary, 40}, {"Pi", Quantity::Format::binary, 50},
    {"Ei", Quantity::Format::binary, 60},
};

static std::unexpected<Error> malformed() {
  return fail(Code::invalid, "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}

static bool read_suffix(std::string_view text, Quantity::Format& format, int& power) {
  for (const Suffix& suffix : suffixes) {
    if (suffix.text != text) continue;
    format = suffix.format;
    power = suffix.power;
    return true;
  }
  if (text.size() < 2 || (text[0] != 'e' && text[0] != 'E')) return false;
  std::string_view digits = text.substr(1);
  if (digits[0] == '+') digits.remove_prefix(1);
  if (text[1] == '+' && digits.starts_with('-')) return false;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), power);
  if (error != std::errc() || end != digits.data() + digits.size()) return false;
  format = Quantity::Format::exponent;
  return true;
}

// digits × 10^power (or × 2^power), in billionths, rounded away from zero, limited to what fits.
static Wide scale(std::string_view whole, std::string_view fraction, bool binary, int power) {
  Wide value = 0;
  bool rest = false;
  const auto multiply = [&](Wide by) { value = value > largest / by ? largest : value * by; };
  int exponent = -int(fraction.size());
  int digits = 0;
  for (std::string_view part : {whole, fraction})
    for (char c : part) {
      if (digits == 0 && c == '0') continue;
      if (++digits > 27) {  // further digits are below every unit that counts, or above every value that fits
        rest |= c != '0';
        ++exponent;
        continue;
      }
      value = value * 10 + (c - '0');
    }
  if (value == 0) return 0;
  exponent += 9 + (binary ? 0 : power);
  for (int i = 0; binary && i < power; ++i) {
    // Halve the tens where that is exact, to stay small.
    if (exponent < 0 && value > largest) break;
    multiply(2);
  }
  if (exponent > 0 && exponent > 40) return largest;
  for (; exponent > 0; --exponent) multiply(10);
  for (; exponent < 0 && value; ++exponent) {
    rest |= value % 10 != 0;
    value /= 10;
  }
  return std::min(value + (rest ? 1 : 0), largest);
}

Result<Quantity> Quantity::parse(std::string_view text) {
  const std::string_view all = text;
  if (text.empty()) return malformed();
  const bool negative = text[0] == '-';
  if (negative || text[0] == '+') text.remove_prefix(1);
  const auto digits = [&] {
    const size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(end);
    return part;
  };
  const std::string_view whole = digits();
  std::string_view fraction;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = digits();
  }
  Quantity out;
  int power = 0;
  if ((whole.empty() && fraction.empty()) || all.size() > 128 || !read_suffix(text, out.format_, power)) return malformed();
  out.nano_ = scale(whole, fraction, out.format_ == Format::binary, power);
  if (negative) out.nano_ = -out.nano_;
  return out;
}

Quantity Quantity::of(int64_t value, Format format) {
  Quantity out;
  out.nano_ = Wide(value) * nano_per_unit;
  out.format_ = format;
  return out;
}

Quantity Quantity::milli(int64_t value) {
  Quantity out;
  out.nano_ = Wide(value) * (nano_per_unit / 1000);
  return out;
}

static int64_t divide_up(Wide value, int64_t by) {
  const Wide out = value / by + (value > 0 && value % by ? 1 : 0);
  return out > INT64_MAX ? INT64_MAX : out < INT64_MIN ? INT64_MIN : int64_t(out);
}

int64_t Quantity::to_int64() const { return divide_up(nano_, nano_per_unit); }
int64_t Quantity::to_milli() const { return divide_up(nano_, nano_per_unit / 1000); }

static Wide clamp(Wide value) { return value > largest ? largest : value < -largest ? -largest : value; }

Quantity& Quantity::operator+=(const Quantity& other) {
  if (nano_ == 0) format_ = other.format_;
  nano_ = clamp(nano_ + other.nano_);
  return *this;
}

Quantity& Quantity::operator-=(const Quantity& other) {
  if (nano_ == 0) format_ = other.format_;
  nano_ = clamp(nano_ - other.nano_);
  return *this;
}

// A fraction of a large value has more digits than 64 bits hold.
static std::string with_suffix(Wide count, std::string_view suffix) {
  constexpr int64_t low_digits = 1'000'000'000'000'000'000;
  if (count <= INT64_MAX && count >= -INT64_MAX) return std::to_string(int64_t(count)) + std::string(suffix);
  const Wide size = count < 0 ? -count : count;
  std::string low = std::to_string(int64_t(size % low_digits));
  low.insert(0, 18 - low.size(), '0');
  return std::string(count < 0 ? "-" : "") + std::to_string(int64_t(size / low_digits)) + low + std::string(suffix);
}

std::string Quantity::print() const {
  if (nano_ == 0) return "0";
  const Wide unit = nano_per_unit;
  // Binary suffixes hold whole numbers from 1024 on; smaller ones and fractions are printed with decimal suffixes.
  if (format_ == Format::binary && nano_ % unit == 0) {
    Wide value = nano_ / unit;
    if (value < 1024 && value > -1024) return with_suffix(value, "");
    int power = 0;
    while (value % 1024 == 0 && power < 6) {
      value /= 1024;
      ++power;
    }
    static constexpr std::string_view names[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    return with_suffix(value, names[power]);
  }
  Wide value = nano_;
  int power = -9;
  while (value % 1000 == 0 && power < 18) {
    value /= 1000;
    power += 3;
  }
  if (format_ == Format::exponent) return with_suffix(value, power == 0 ? "" : "e" + std::to_string(power));
  for (const Suffix& suffix : suffixes)
    if (suffix.format == Format::decimal && suffix.power == power) return with_suffix(value, suffix.text);
  return with_suffix(value, "");
}

std::string canonical_quantity(std::string_view text) {
  const auto quantity = Quantity::parse(text);
  return quantity ? quantity->print() : std::string(text);
}

int64_t quantity_to_int64(std::string_view text) {
  const auto quantity = Quantity::parse(text);
  return quantity ? quantity->to_int64() : 0;
}

int64_t quantity_to_milli(std::string_view text) {
  const auto quantity = Quantity::parse(text);
  return quantity ? quantity->to_milli() : 0;
}

}  // namespace estiba::model
