// Times of any year that RFC 3339 can write, which nanoseconds since 1970 (base/time.h) do not reach: those before 1678 and after 2261.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba {

/// Seconds since 1970 and the nanoseconds after them, 0…999999999.
struct Timestamp {
  int64_t seconds = 0;
  int32_t nanos = 0;
};

/// "0001-01-01T00:00:02Z", as metav1.Time prints.
std::string format_rfc3339(Timestamp time);
/// "0001-01-01T00:00:02.000000Z", as metav1.MicroTime prints.
std::string format_rfc3339_micro(Timestamp time);
/// Accepts fractions and numeric offsets; malformed otherwise.
Result<Timestamp> parse_timestamp(std::string_view text);

}  // namespace estiba
