// + - * / % and unary -, checked.
#include <cmath>

#include "cel/compare.h"
#include "cel/function.h"
#include "cel/time.h"

namespace estiba::cel::library {

namespace {

Value int_overflow() { return Value::error("integer overflow"); }
Value uint_overflow() { return Value::error("unsigned integer overflow"); }

enum class Op { add, subtract, multiply };

template <Op op>
Value ints(Context&, Args a) {
  int64_t out;
  const int64_t x = a[0].as_int(), y = a[1].as_int();
  const bool overflow = op == Op::add        ? __builtin_add_overflow(x, y, &out)
                        : op == Op::subtract ? __builtin_sub_overflow(x, y, &out)
                                             : __builtin_mul_overflow(x, y, &out);
  return overflow ? int_overflow() : Value::integer(out);
}

template <Op op>
Value uints(Context&, Args a) {
  uint64_t out;
  const uint64_t x = a[0].as_uint(), y = a[1].as_uint();
  const bool overflow = op == Op::add        ? __builtin_add_overflow(x, y, &out)
                        : op == Op::subtract ? __builtin_sub_overflow(x, y, &out)
                                             : __builtin_mul_overflow(x, y, &out);
  return overflow ? uint_overflow() : Value::uinteger(out);
}

template <Op op>
Value reals(Context&, Args a) {
  const double x = a[0].as_double(), y = a[1].as_double();
  return Value::real(op == Op::add ? x + y : op == Op::subtract ? x - y : x * y);
}

template <Op op>
Value durations(Context&, Args a) {
  int64_t out;
  const int64_t x = a[0].nanos(), y = a[1].nanos();
  const bool overflow = op == Op::add ? __builtin_add_overflow(x, y, &out) : __builtin_sub_overflow(x, y, &out);
  return overflow ? Value::error("duration overflow") : Value::duration(out);
}

Value shift(Timestamp time, __int128 nanos) {
  __int128 total = __int128(time.seconds) * 1'000'000'000 + time.nanos + nanos;
  __int128 seconds = total / 1'000'000'000, rest = total % 1'000'000'000;
  if (rest < 0) seconds--, rest += 1'000'000'000;
  if (seconds < min_seconds || seconds > max_seconds) return Value::error("timestamp overflow");
  return Value::timestamp({int64_t(seconds), int32_t(rest), time.offset});
}

Value add_time(Context&, Args a) { return shift(a[0].time(), a[1].nanos()); }
Value add_to_time(Context&, Args a) { return shift(a[1].time(), a[0].nanos()); }
Value subtract_from_time(Context&, Args a) { return shift(a[0].time(), -__int128(a[1].nanos())); }

Value between(Context&, Args a) {
  const Timestamp x = a[0].time(), y = a[1].time();
  const __int128 nanos = __int128(x.seconds - y.seconds) * 1'000'000'000 + x.nanos - y.nanos;
  if (nanos < INT64_MIN || nanos > INT64_MAX) return Value::error("integer overflow");
  return Value::duration(int64_t(nanos));
}

Value join(Context& c, Args a, bool bytes) {
  const std::string_view x = a[0].text(), y = a[1].text();
  if (!c.memory.admit(x.size() + y.size())) return Memory::over_limit();
  char* out = c.memory.arena().text(x.size() + y.size());
  memcpy(out, x.data(), x.size());
  memcpy(out + x.size(), y.data(), y.size());
  const std::string_view text(out, x.size() + y.size());
  return bytes ? Value::bytes(text) : Value::string(text);
}

Value add_strings(Context& c, Args a) { return join(c, a, false); }
Value add_bytes(Context& c, Args a) { return join(c, a, true); }
Value add_lists(Context& c, Args a) { return c.memory.concat(a[0], a[1]); }

Value divide_int(Context&, Args a) {
  if (a[1].as_int() == 0) return Value::error("division by zero");
  if (a[0].as_int() == INT64_MIN && a[1].as_int() == -1) return int_overflow();
  return Value::integer(a[0].as_int() / a[1].as_int());
}
Value divide_uint(Context&, Args a) {
  return a[1].as_uint() == 0 ? Value::error("division by zero") : Value::uinteger(a[0].as_uint() / a[1].as_uint());
}
Value divide_real(Context&, Args a) { return Value::real(a[0].as_double() / a[1].as_double()); }

Value modulo_int(Context&, Args a) {
  if (a[1].as_int() == 0) return Value::error("modulus by zero");
  if (a[0].as_int() == INT64_MIN && a[1].as_int() == -1) return int_overflow();
  return Value::integer(a[0].as_int() % a[1].as_int());
}
Value modulo_uint(Context&, Args a) {
  return a[1].as_uint() == 0 ? Value::error("modulus by zero") : Value::uinteger(a[0].as_uint() % a[1].as_uint());
}

Value negate_int(Context&, Args a) { return a[0].as_int() == INT64_MIN ? int_overflow() : Value::integer(-a[0].as_int()); }
Value negate_real(Context&, Args a) { return Value::real(-a[0].as_double()); }

constexpr auto table = std::to_array<Native>({
    {"_+_", "add_bytes", "(bytes,bytes):bytes", add_bytes},
    {"_+_", "add_double", "(double,double):double", reals<Op::add>},
    {"_+_", "add_duration_duration", "(duration,duration):duration", durations<Op::add>},
    {"_+_", "add_duration_timestamp", "(duration,timestamp):timestamp", add_to_time},
    {"_+_", "add_timestamp_duration", "(timestamp,duration):timestamp", add_time},
    {"_+_", "add_int64", "(int,int):int", ints<Op::add>},
    {"_+_", "add_list", "(list(A),list(A)):list(A)", add_lists},
    {"_+_", "add_string", "(string,string):string", add_strings},
    {"_+_", "add_uint64", "(uint,uint):uint", uints<Op::add>},
    {"_-_", "subtract_double", "(double,double):double", reals<Op::subtract>},
    {"_-_", "subtract_duration_duration", "(duration,duration):duration", durations<Op::subtract>},
    {"_-_", "subtract_int64", "(int,int):int", ints<Op::subtract>},
    {"_-_", "subtract_timestamp_duration", "(timestamp,duration):timestamp", subtract_from_time},
    {"_-_", "subtract_timestamp_timestamp", "(timestamp,timestamp):duration", between},
    {"_-_", "subtract_uint64", "(uint,uint):uint", uints<Op::subtract>},
    {"_*_", "multiply_double", "(double,double):double", reals<Op::multiply>},
    {"_*_", "multiply_int64", "(int,int):int", ints<Op::multiply>},
    {"_*_", "multiply_uint64", "(uint,uint):uint", uints<Op::multiply>},
    {"_/_", "divide_double", "(double,double):double", divide_real},
    {"_/_", "divide_int64", "(int,int):int", divide_int},
    {"_/_", "divide_uint64", "(uint,uint):uint", divide_uint},
    {"_%_", "modulo_int64", "(int,int):int", modulo_int},
    {"_%_", "modulo_uint64", "(uint,uint):uint", modulo_uint},
    {"-_", "negate_double", "(double):double", negate_real},
    {"-_", "negate_int64", "(int):int", negate_int},
});

}  // namespace

std::span<const Native> arithmetic() { return table; }

}  // namespace estiba::cel::library
