// int(), uint(), double(), bool(), string(), bytes(), timestamp(), duration(), type(), dyn().
#include <cmath>

#include "base/go_duration.h"
#include "base/strings.h"
#include "cel/compare.h"
#include "cel/function.h"
#include "cel/library/objects.h"
#include "cel/time.h"

namespace estiba::cel::library {

namespace {

Value failed(Context& c, const Value& value, std::string_view to) {
  return c.memory.error("type conversion error from '" + std::string(type_name(value)) + "' to '" + std::string(to) + "'");
}

Value same(Context&, Args a) { return a[0]; }

Value string_to_int(Context& c, Args a) {
  std::string_view text = a[0].text();
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  const auto number = parse_number<int64_t>(text);
  return number ? Value::integer(*number) : failed(c, a[0], "int");
}
Value uint_to_int(Context&, Args a) {
  return a[0].as_uint() > uint64_t(INT64_MAX) ? Value::error("integer overflow") : Value::integer(int64_t(a[0].as_uint()));
}
Value double_to_int(Context&, Args a) {
  const double value = a[0].as_double();
  if (!std::isfinite(value) || value <= -9223372036854775808.0 || value >= 9223372036854775808.0) return Value::error("integer overflow");
  return Value::integer(int64_t(value));
}
Value timestamp_to_int(Context&, Args a) { return Value::integer(a[0].time().seconds); }
Value duration_to_int(Context&, Args a) { return Value::integer(a[0].nanos()); }

Value int_to_uint(Context&, Args a) {
  return a[0].as_int() < 0 ? Value::error("unsigned integer overflow") : Value::uinteger(uint64_t(a[0].as_int()));
}
Value double_to_uint(Context&, Args a) {
  const double value = a[0].as_double();
  if (!std::isfinite(value) || value < 0 || value >= 18446744073709551616.0) return Value::error("unsigned integer overflow");
  return Value::uinteger(uint64_t(value));
}
Value string_to_uint(Context& c, Args a) {
  const auto number = parse_number<uint64_t>(a[0].text());
  return number ? Value::uinteger(*number) : failed(c, a[0], "uint");
}

Value int_to_double(Context&, Args a) { return Value::real(double(a[0].as_int())); }
Value uint_to_double(Context&, Args a) { return Value::real(double(a[0].as_uint())); }
Value string_to_double(Context& c, Args a) {
  const std::string text(a[0].text());
  if (text.empty() || text.size() > 4096 || isspace(static_cast<unsigned char>(text[0])) || text.find('\0') != std::string::npos)
    return failed(c, a[0], "double");
  char* end = nullptr;
  const double number = strtod(text.c_str(), &end);
  const bool infinite_text = text.find_first_of("iI") != std::string::npos;
  // "nan(…)" is strtod's own; and a number that is too large is no infinity.
  if (*end || text.find('(') != std::string::npos || (std::isinf(number) && !infinite_text)) return failed(c, a[0], "double");
  return Value::real(number);
}

Value string_to_bool(Context& c, Args a) {
  const std::string_view text = a[0].text();
  for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"})
    if (text == yes) return Value::boolean(true);
  for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"})
    if (text == no) return Value::boolean(false);
  return failed(c, a[0], "bool");
}

Value string_to_bytes(Context&, Args a) { return Value::bytes(a[0].text()); }
Value bytes_to_string(Context&, Args a) {
  return is_utf8(a[0].text()) ? Value::string(a[0].text()) : Value::error("invalid UTF-8 in bytes, cannot convert to string");
}
Value to_string(Context& c, Args a) {
  const auto text = convert_to_string(a[0]);
  return text ? c.memory.string(*text) : failed(c, a[0], "string");
}
Value ip_to_string(Context& c, Args a) { return c.memory.string(print_ip(as<IpObject>(a[0]).address)); }
Value cidr_to_string(Context& c, Args a) {
  const auto& cidr = as<CidrObject>(a[0]);
  return c.memory.string(print_ip(cidr.address) + "/" + std::to_string(cidr.bits));
}

Value in_range(Timestamp time) {
  return time.seconds < min_seconds || time.seconds > max_seconds ? Value::error("timestamp overflow") : Value::timestamp(time);
}
Value string_to_timestamp(Context& c, Args a) {
  const auto time = parse_timestamp(a[0].text());
  return time ? in_range(*time) : failed(c, a[0], "google.protobuf.Timestamp");
}
Value int_to_timestamp(Context&, Args a) { return in_range({a[0].as_int(), 0}); }
Value string_to_duration(Context& c, Args a) {
  const auto duration = parse_go_duration(a[0].text());
  return duration ? Value::duration(duration->count()) : failed(c, a[0], "google.protobuf.Duration");
}
Value int_to_duration(Context&, Args a) { return Value::duration(a[0].as_int()); }

Value type_of_value(Context&, Args a) { return Value::type(type_of(a[0])); }

constexpr auto table = std::to_array<Native>({
    {"type", "type", "(A):type(A)", type_of_value},
    {"dyn", "to_dyn", "(A):dyn", same},
    {"bool", "bool_to_bool", "(bool):bool", same},
    {"bool", "string_to_bool", "(string):bool", string_to_bool},
    {"bytes", "bytes_to_bytes", "(bytes):bytes", same},
    {"bytes", "string_to_bytes", "(string):bytes", string_to_bytes},
    {"double", "double_to_double", "(double):double", same},
    {"double", "int64_to_double", "(int):double", int_to_double},
    {"double", "string_to_double", "(string):double", string_to_double},
    {"double", "uint64_to_double", "(uint):double", uint_to_double},
    {"duration", "duration_to_duration", "(duration):duration", same},
    {"duration", "int64_to_duration", "(int):duration", int_to_duration},
    {"duration", "string_to_duration", "(string):duration", string_to_duration},
    {"int", "int64_to_int64", "(int):int", same},
    {"int", "double_to_int64", "(double):int", double_to_int},
    {"int", "duration_to_int64", "(duration):int", duration_to_int},
    {"int", "string_to_int64", "(string):int", string_to_int},
    {"int", "timestamp_to_int64", "(timestamp):int", timestamp_to_int},
    {"int", "uint64_to_int64", "(uint):int", uint_to_int},
    {"string", "string_to_string", "(string):string", same},
    {"string", "bool_to_string", "(bool):string", to_string},
    {"string", "bytes_to_string", "(bytes):string", bytes_to_string},
    {"string", "double_to_string", "(double):string", to_string},
    {"string", "duration_to_string", "(duration):string", to_string},
    {"string", "int64_to_string", "(int):string", to_string},
    {"string", "timestamp_to_string", "(timestamp):string", to_string},
    {"string", "uint64_to_string", "(uint):string", to_string},
    {"string", "ip_to_string", "(net.IP):string", ip_to_string},
    {"string", "cidr_to_string", "(net.CIDR):string", cidr_to_string},
    {"timestamp", "timestamp_to_timestamp", "(timestamp):timestamp", same},
    {"timestamp", "int64_to_timestamp", "(int):timestamp", int_to_timestamp},
    {"timestamp", "string_to_timestamp", "(string):timestamp", string_to_timestamp},
    {"uint", "uint64_to_uint64", "(uint):uint", same},
    {"uint", "double_to_uint64", "(double):uint", double_to_uint},
    {"uint", "int64_to_uint64", "(int):uint", int_to_uint},
    {"uint", "string_to_uint64", "(string):uint", string_to_uint},
});

}  // namespace

std::span<const Native> conversions() { return table; }

}  // namespace estiba::cel::library
