#include "apiserver/custom/formats.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string>

#include "base/strings.h"
#include "base/time.h"
#include "model/names.h"

namespace estiba::apiserver {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_alnum(char c) { return is_digit(c) || is_alpha(c); }
bool all_of(std::string_view text, bool (*test)(char)) { return !text.empty() && std::all_of(text.begin(), text.end(), test); }

std::string digits_of(std::string_view text) {
  std::string out;
  for (char c : text)
    if (is_digit(c)) out += c;
  return out;
}

bool is_address(int family, std::string_view text) {
  unsigned char bytes[16];
  return text.size() < INET6_ADDRSTRLEN && inet_pton(family, std::string(text).c_str(), bytes) == 1;
}

bool is_cidr(std::string_view text) {
  const auto [address, length] = split_once(text, '/');
  const auto bits = length ? parse_number<int>(*length) : std::nullopt;
  if (!bits || *bits < 0 || (length->size() > 1 && length->starts_with('0'))) return false;
  return (is_address(AF_INET, address) && *bits <= 32) || (is_address(AF_INET6, address) && *bits <= 128);
}

// 01:23:45:67:89:ab, 01-23-…, 0123.4567.89ab; 6, 8 or 20 bytes.
bool is_mac(std::string_view text) {
  if (text.size() < 14) return false;
  const bool dots = text[4] == '.';
  const char separator = dots ? '.' : text[2];
  if (separator != ':' && separator != '-' && separator != '.') return false;
  const size_t width = dots ? 4 : 2;
  const auto parts = split(text, separator);
  if (!std::all_of(parts.begin(), parts.end(), [&](std::string_view part) { return part.size() == width && all_of(part, is_hex); }))
    return false;
  const size_t bytes = parts.size() * width / 2;
  return bytes == 6 || bytes == 8 || bytes == 20;
}

// With or without dashes; `version` 0: any.
bool is_uuid(std::string_view text, char version) {
  std::string hex;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '-') hex += text[i];
    else if (hex.size() != 8 && hex.size() != 12 && hex.size() != 16 && hex.size() != 20) return false;
  }
  if (hex.size() != 32 || !all_of(hex, is_hex)) return false;
  if (version == 0) return true;
  if (hex[12] != version) return false;
  return version == '3' || std::string_view("89abAB").find(hex[16]) != std::string_view::npos;
}

bool is_isbn10(std::string_view text) {
  std::string plain;
  for (char c : text)
    if (c != '-' && c != ' ') plain += c;
  if (plain.size() != 10) return false;
  int sum = 0;
  for (int i = 0; i < 10; ++i) {
    const char c = plain[size_t(i)];
    if (!is_digit(c) && !(i == 9 && (c == 'X' || c == 'x'))) return false;
    sum += (10 - i) * (is_digit(c) ? c - '0' : 10);
  }
  return sum % 11 == 0;
}

bool is_isbn13(std::string_view text) {
  std::string plain;
  for (char c : text)
    if (c != '-' && c != ' ') plain += c;
  if (plain.size() != 13 || !all_of(plain, is_digit)) return false;
  int sum = 0;
  for (size_t i = 0; i < 13; ++i) sum += (plain[i] - '0') * (i % 2 ? 3 : 1);
  return sum % 10 == 0;
}

// A card's number by its issuer's form, and its check digit (Luhn).
bool is_credit_card(std::string_view text) {
  const std::string n = digits_of(text);
  const auto first = [&](size_t count) { return parse_number<int>(std::string_view(n).substr(0, count)).value_or(0); };
  const bool form = (n.starts_with('4') && (n.size() == 13 || n.size() == 16)) || (n.size() == 16 && first(2) >= 51 && first(2) <= 55) ||
                    (n.size() == 16 && (n.starts_with("6011") || n.starts_with("65"))) ||
                    (n.size() == 15 && (first(2) == 34 || first(2) == 37)) ||
                    (n.size() == 14 && ((first(3) >= 300 && first(3) <= 305) || first(2) == 36 || first(2) == 38)) ||
                    (n.size() == 15 && (first(4) == 2131 || first(4) == 1800)) || (n.size() == 16 && n.starts_with("35"));
  if (!form) return false;
  int sum = 0;
  for (size_t i = 0; i < n.size(); ++i) {
    int digit = n[n.size() - 1 - i] - '0';
    if (i % 2 == 1 && (digit *= 2) > 9) digit -= 9;
    sum += digit;
  }
  return sum % 10 == 0;
}

bool is_ssn(std::string_view text) {
  const auto at = [&](size_t i) { return i < text.size() ? text[i] : '\0'; };
  size_t i = 0;
  for (int part : {3, 2, 4}) {
    for (int k = 0; k < part; ++k)
      if (!is_digit(at(i++))) return false;
    if (part != 4 && (at(i) == '-' || at(i) == ' ')) ++i;
  }
  return i == text.size();
}

bool is_hex_color(std::string_view text) {
  if (text.starts_with('#')) text.remove_prefix(1);
  return (text.size() == 3 || text.size() == 6) && all_of(text, is_hex);
}

bool is_rgb_color(std::string_view text) {
  if (!text.starts_with("rgb(") || !text.ends_with(')')) return false;
  const auto parts = split(text.substr(4, text.size() - 5), ',');
  return parts.size() == 3 && std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
           part = trim(part);
           const auto value = parse_number<int>(part);
           return value && *value >= 0 && *value <= 255 && (part.size() == 1 || part[0] != '0');
         });
}

bool is_date(std::string_view text) { return text.size() == 10 && parse_rfc3339(std::string(text) + "T00:00:00Z").has_value(); }

// "2006-01-02T15:04:05Z07:00", and what swagger's tools write: without a zone, with a blank instead of the T.
bool is_date_time(std::string_view text) {
  if (text.size() < 19) return false;
  std::string whole(text);
  if (whole[10] == 't' || whole[10] == ' ') whole[10] = 'T';
  if (parse_rfc3339(whole)) return true;
  return parse_rfc3339(whole + "Z").has_value();
}

// "1h30m", "300ms", "-1.5h" (Go), or "22 ns", "3 days" (Scala).
bool is_duration(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (text == "0") return true;
  if (text.empty()) return false;
  static constexpr std::string_view units[] = {
      "ns",    "us",     "µs",          "μs",           "ms",          "s",     "m",      "h",           "d",
      "w",     "nano",   "nanos",       "nanosecond",   "nanoseconds", "micro", "micros", "microsecond", "microseconds",
      "milli", "millis", "millisecond", "milliseconds", "sec",         "secs",  "second", "seconds",     "min",
      "mins",  "minute", "minutes",     "hr",           "hour",        "hours", "day",    "days",        "week",
      "weeks"};
  while (!text.empty()) {
    size_t i = 0;
    while (i < text.size() && (is_digit(text[i]) || text[i] == '.')) ++i;
    if (i == 0 || text.substr(0, i) == ".") return false;
    text = trim(text.substr(i));
    i = 0;
    while (i < text.size() && !is_digit(text[i]) && text[i] != ' ' && text[i] != '.') ++i;
    if (std::find(std::begin(units), std::end(units), text.substr(0, i)) == std::end(units)) return false;
    text = trim(text.substr(i));
  }
  return true;
}

// local@domain, perhaps with a name before it in angle brackets (RFC 5322, as far as addresses are written).
bool is_email(std::string_view text) {
  if (const size_t open = text.rfind('<'); open != std::string_view::npos && text.ends_with('>'))
    text = text.substr(open + 1, text.size() - open - 2);
  const size_t at = text.rfind('@');
  if (at == std::string_view::npos || at == 0 || at + 1 == text.size()) return false;
  const std::string_view local = text.substr(0, at), domain = text.substr(at + 1);
  const auto atom = [](char c) {
    return is_alnum(c) || std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos || (c & 0x80);
  };
  const auto dotted = [&](std::string_view part) {
    const auto atoms = split(part, '.');
    return std::all_of(atoms.begin(), atoms.end(),
                       [&](std::string_view one) { return !one.empty() && std::all_of(one.begin(), one.end(), atom); });
  };
  if (!dotted(domain) && !(domain.starts_with('[') && domain.ends_with(']'))) return false;
  return dotted(local) || (local.size() >= 2 && local.starts_with('"') && local.ends_with('"'));
}

bool is_hostname(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > 255) return false;
  const auto labels = split(text, '.');
  return std::all_of(labels.begin(), labels.end(), [](std::string_view label) {
    return !label.empty() && label.size() <= 63 && !label.starts_with('-') && !label.ends_with('-') &&
           std::all_of(label.begin(), label.end(), [](char c) { return is_alnum(c) || c == '-' || c == '_' || (c & 0x80); });
  });
}

// An absolute URI, or an absolute path.
bool is_uri(std::string_view text) {
  if (text.empty() || std::any_of(text.begin(), text.end(), [](char c) { return c < 0x21 || c == 0x7f; })) return false;
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] == '%' && (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2]))) return false;
  if (text.starts_with('/')) return true;
  const auto [scheme, rest] = split_once(text, ':');
  if (!rest || scheme.empty() || !is_alpha(scheme[0])) return false;
  return std::all_of(scheme.begin(), scheme.end(), [](char c) { return is_alnum(c) || c == '+' || c == '-' || c == '.'; });
}

bool is_object_id(std::string_view text) { return text.size() == 24 && all_of(text, is_hex); }

struct Row {
  std::string_view name;
  bool (*test)(std::string_view);
};

constexpr Row rows[] = {
    {"bsonobjectid", is_object_id},
    {"uri", is_uri},
    {"email", is_email},
    {"hostname", is_hostname},
    {"ipv4", [](std::string_view text) { return is_address(AF_INET, text); }},
    {"ipv6", [](std::string_view text) { return is_address(AF_INET6, text); }},
    {"cidr", is_cidr},
    {"mac", is_mac},
    {"uuid", [](std::string_view text) { return is_uuid(text, 0); }},
    {"uuid3", [](std::string_view text) { return is_uuid(text, '3'); }},
    {"uuid4", [](std::string_view text) { return is_uuid(text, '4'); }},
    {"uuid5", [](std::string_view text) { return is_uuid(text, '5'); }},
    {"isbn", [](std::string_view text) { return is_isbn10(text) || is_isbn13(text); }},
    {"isbn10", is_isbn10},
    {"isbn13", is_isbn13},
    {"creditcard", is_credit_card},
    {"ssn", is_ssn},
    {"hexcolor", is_hex_color},
    {"rgbcolor", is_rgb_color},
    {"byte", [](std::string_view text) { return base64_decode(text).has_value(); }},
    {"date", is_date},
    {"duration", is_duration},
    {"datetime", is_date_time},
    {"k8sshortname", [](std::string_view text) { return model::check_dns1123_label(text).empty(); }},
    {"k8slongname", [](std::string_view text) { return model::check_dns1123_subdomain(text).empty(); }},
};

}  // namespace

bool has_format(std::string_view format, std::string_view text) {
  std::string plain(format);
  std::erase(plain, '-');
  for (const Row& row : rows)
    if (row.name == plain) return row.test(text);
  return true;
}

}  // namespace estiba::apiserver
