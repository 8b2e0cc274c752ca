// The values of Kubernetes' libraries: URLs, addresses, quantities, versions, formats, checks of access.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cel/authorizer.h"
#include "cel/memory.h"
#include "model/quantity.h"

namespace estiba::cel {

/// Parts of a URL as net/url names them; texts lie in the evaluation's memory.
struct UrlObject : Object {
  std::string_view scheme, host, path, query, text;
};

struct IpAddress {
  std::array<uint8_t, 16> bytes{};  ///< of IPv4 the first four
  bool v6 = false;
  bool operator==(const IpAddress&) const = default;
  size_t size() const { return v6 ? 16 : 4; }
};

struct IpObject : Object {
  IpAddress address;
};

struct CidrObject : Object {
  IpAddress address;
  int bits;
};

struct QuantityObject : Object {
  model::Quantity quantity;
};

struct SemverObject : Object {
  uint64_t major, minor, patch;
  std::string_view prerelease;  ///< without the '-', "" for none
};

struct FormatInfo {
  std::string_view key, name;
  uint32_t regex_size;
  /// What is wrong with the text; empty for nothing.
  std::vector<std::string> (*check)(std::string_view text);
};

struct FormatObject : Object {
  const FormatInfo* info;
};

/// An authorizer and the checks that are made of it: `access` grows with every call.
struct AccessObject : Object {
  Access access;
};

struct DecisionObject : Object {
  bool allowed;
  std::string_view reason, error;
};

template <class T>
const T& as(const Value& value) {
  return *static_cast<const T*>(value.as_object());
}

bool equal_objects(Memory& memory, const Value& a, const Value& b);

/// Go's netip.ParseAddr without zones and IPv4 in IPv6; an error text otherwise.
std::optional<IpAddress> parse_ip(std::string_view text, std::string& error);
std::string print_ip(const IpAddress& address);
/// net/url's ParseRequestURI; an error text otherwise.
std::optional<UrlObject> parse_url(std::string_view text, std::string& error);
std::string escaped_path(const UrlObject& url);
/// semver.org, version 2, without leniency; an error text otherwise.
std::optional<SemverObject> parse_semver(std::string_view text, std::string& error);

/// A type of value by the name of its format ("dns1123Label"), or null.
const FormatInfo* find_format(std::string_view name);
/// "printf" for CEL: `"%s has %d".format([...])`; an error text otherwise.
std::optional<std::string> format_text(Memory& memory, std::string_view format, const Value& args, std::string& error);

}  // namespace estiba::cel
