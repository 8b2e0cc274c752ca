#include "apiserver/kinds/value_checks.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/strings.h"

namespace estiba::apiserver {
namespace {

using model::Problems;

constexpr bool lower(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool letter(char c) { return lower(c) || (c >= 'A' && c <= 'Z'); }
constexpr bool digit(char c) { return c >= '0' && c <= '9'; }

std::string with_regex(std::string_view what, std::string_view regex, std::string_view example) {
  return std::string(what) + " (e.g. '" + std::string(example) + "', regex used for validation is '" + std::string(regex) + "')";
}

// An address as bytes: 4 or 16 of them; family 0 when the text is none.
struct Address {
  int family = 0;
  std::array<unsigned char, 16> bytes{};

  int bits() const { return family == 4 ? 32 : 128; }
  bool mapped() const {
    static constexpr unsigned char prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return family == 6 && std::memcmp(bytes.data(), prefix, sizeof prefix) == 0;
  }
  std::string print() const {
    char text[INET6_ADDRSTRLEN];
    return inet_ntop(family == 4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof text) ? text : "";
  }
  bool bit(int i) const { return bytes[size_t(i) / 8] >> (7 - i % 8) & 1; }
};

Address parse_address(std::string_view text) {
  Address out;
  const std::string copy(text);
  if (copy.size() != std::strlen(copy.c_str())) return out;
  if (inet_pton(AF_INET, copy.c_str(), out.bytes.data()) == 1) out.family = 4;
  else if (inet_pton(AF_INET6, copy.c_str(), out.bytes.data()) == 1) out.family = 6;
  return out;
}

// "010.1.2.3" without the zeros that lead.
std::string without_leading_zeros(std::string_view text) {
  std::string out;
  for (std::string_view part : split(text, '.')) {
    while (part.size() > 1 && part.starts_with('0')) part.remove_prefix(1);
    out.append(out.empty() ? "" : ".").append(part);
  }
  return out;
}

struct Network {
  Address address;
  int length = -1;
  bool zeros = false;  // the text has leading zeros

  bool valid() const { return address.family != 0 && length >= 0 && length <= address.bits(); }
  bool has_host_bits() const {
    for (int i = length; i < address.bits(); i++)
      if (address.bit(i)) return true;
    return false;
  }
};

Network parse_network(std::string_view text) {
  Network out;
  auto [address, length] = split_once(text, '/');
  out.address = parse_address(address);
  if (out.address.family == 0) {
    out.address = parse_address(without_leading_zeros(address));
    out.zeros = out.address.family != 0;
  }
  if (!length || length->empty() || !std::ranges::all_of(*length, digit)) return out;
  out.zeros |= length->size() > 1 && length->starts_with('0');
  out.length = parse_number<int>(*length).value_or(-1);
  return out;
}

}  // namespace

Problems check_ip(std::string_view text) {
  const Address address = parse_address(text);
  if (address.mapped()) return {"must not be an IPv4-mapped IPv6 address"};
  if (address.family != 0) return {};
  if (parse_address(without_leading_zeros(text)).family != 0) return {"must not have leading 0s"};
  return {"must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"};
}

Problems check_canonical_ip(std::string_view text) {
  if (Problems problems = check_ip(text); !problems.empty()) return problems;
  const std::string canonical = parse_address(text).print();
  if (canonical == text) return {};
  return {"must be in canonical form (" + quoted(canonical) + ")"};
}

Problems check_cidr(std::string_view text) {
  const Network network = parse_network(text);
  if (!network.valid()) return {"must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"};
  if (network.zeros) return {"must not have leading 0s in IP or prefix length"};
  if (network.address.mapped()) return {"must not have an IPv4-mapped IPv6 address"};
  if (network.has_host_bits()) return {"must not have bits set beyond the prefix length"};
  return {};
}

Problems check_canonical_cidr(std::string_view text) {
  if (Problems problems = check_cidr(text); !problems.empty()) return problems;
  const Network network = parse_network(text);
  const std::string canonical = network.address.print() + "/" + std::to_string(network.length);
  if (canonical == text) return {};
  return {"must be in canonical form (" + quoted(canonical) + ")"};
}

int ip_family(std::string_view text) { return parse_address(text).family; }

int cidr_family(std::string_view text) {
  const Network network = parse_network(text);
  return network.valid() ? network.address.family : 0;
}

bool cidr_contains(std::string_view outer, std::string_view inner) {
  const Network out = parse_network(outer), in = parse_network(inner);
  if (out.address.family != in.address.family || in.length < out.length) return false;
  for (int i = 0; i < out.length; i++)
    if (out.address.bit(i) != in.address.bit(i)) return false;
  return true;
}

Problems check_endpoint_ip(std::string_view text) {
  const Address a = parse_address(text);
  const auto& b = a.bytes;
  Problems out;
  const bool v4 = a.family == 4;
  const bool zeros = std::all_of(b.begin(), b.begin() + (v4 ? 4 : 15), [](unsigned char c) { return c == 0; });
  if (zeros && (v4 || b[15] == 0)) out.push_back("may not be unspecified (0.0.0.0 or ::)");
  if (v4 ? b[0] == 127 : zeros && b[15] == 1) out.push_back("may not be in the loopback range (127.0.0.0/8, ::1/128)");
  if (v4 ? b[0] == 169 && b[1] == 254 : b[0] == 0xfe && (b[1] & 0xc0) == 0x80)
    out.push_back("may not be in the link-local range (169.254.0.0/16, fe80::/10)");
  if (v4 ? b[0] == 224 && b[1] == 0 && b[2] == 0 : b[0] == 0xff && (b[1] & 0x0f) == 2)
    out.push_back("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
  return out;
}

Problems check_http_header_name(std::string_view text) {
  const auto fits = [](char c) { return letter(c) || digit(c) || c == '-'; };
  if (!text.empty() && std::ranges::all_of(text, fits)) return {};
  return {with_regex("a valid HTTP header must consist of alphanumeric characters or '-'", "[-A-Za-z0-9]+", "X-Header-Name")};
}

Problems check_wildcard_subdomain(std::string_view text) {
  Problems out;
  if (text.size() > 253) out.push_back("must be no more than 253 characters");
  if (text.starts_with("*.") && model::check_dns1123_subdomain(text.substr(2)).empty()) return out;
  out.push_back(
      with_regex("a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case "
                 "alphanumeric characters, '-' or '.' and end with an alphanumeric character",
                 "\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", "*.example.com"));
  return out;
}

Problems check_subdomain_with_underscore(std::string_view text) {
  Problems out;
  if (text.size() > 253) out.push_back("must be no more than 253 characters");
  for (std::string_view part : split(text, '.')) {
    const auto fits = [](char c) { return lower(c) || digit(c) || c == '-' || c == '_'; };
    const bool edges = !part.empty() && part.front() != '-' && part.back() != '-' && part.back() != '_';
    if (edges && std::ranges::all_of(part, fits)) continue;
    out.push_back(
        with_regex("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and "
                   "end with an alphanumeric character",
                   "[a-z0-9_]([-_a-z0-9]*[a-z0-9])?(\\.[a-z0-9_]([-_a-z0-9]*[a-z0-9])?)*", "example.com"));
    break;
  }
  return out;
}

bool is_sysctl_name(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  char before = '.';
  for (char c : text) {
    const bool edge = lower(c) || digit(c), inner = edge || c == '-' || c == '_', separator = c == '.' || c == '/';
    if (!inner && !separator) return false;
    if ((before == '.' || before == '/') && !edge) return false;
    if (separator && (before == '-' || before == '_')) return false;
    before = c;
  }
  return lower(before) || digit(before);
}

Problems check_domain_prefixed_path(std::string_view text) {
  auto [domain, path] = split_once(text, '/');
  if (!path || domain.empty() || path->empty()) return {"must be a domain-prefixed path (such as \"acme.io/foo\")"};
  if (Problems problems = model::check_dns1123_subdomain(domain); !problems.empty()) return problems;
  const auto fits = [](char c) { return letter(c) || digit(c) || std::string_view("/:!$&'()*+,;=~._-%@").contains(c); };
  if (!std::ranges::all_of(*path, fits)) return {"Invalid path"};
  return {};
}

Problems check_fully_qualified_name(std::string_view text) {
  Problems out = model::check_dns1123_subdomain(text);
  if (out.empty() && split(text, '.').size() < 2) out.push_back("should be a domain with at least two segments separated by dots");
  return out;
}

Problems check_signer_name(std::string_view text) {
  auto [domain, path] = split_once(text, '/');
  if (!path || domain.empty() || path->empty() || path->contains('/'))
    return {"must be a fully qualified domain and path of the form 'example.com/signer-name'"};
  Problems out;
  if (text.size() > 571) out.push_back("must be no more than 571 characters");
  for (std::string& problem : model::check_dns1123_subdomain(domain))
    out.push_back("validating label \"" + std::string(domain) + "\": " + problem);
  if (split(domain, '.').size() < 2) out.push_back("should be a domain with at least two segments separated by dots");
  for (const std::string& problem : model::check_dns1123_subdomain(*path))
    out.push_back("validating label \"" + std::string(*path) + "\": " + problem);
  return out;
}

Result<int64_t> count_indexes(std::string_view text, int64_t limit) {
  if (text.empty()) return 0;
  auto number = [limit](std::string_view part) -> Result<int64_t> {
    const auto value = parse_number<int64_t>(part);
    if (!value) return fail(Code::invalid, "cannot convert string to integer for index: " + quoted(part));
    if (*value >= limit) return fail(Code::invalid, "too large index: " + quoted(part));
    return *value;
  };
  auto order = [](int64_t previous, int64_t current) {
    return fail(Code::invalid, "non-increasing order, previous: " + std::to_string(previous) + ", current: " + std::to_string(current));
  };
  int64_t total = 0, last = -1;
  for (std::string_view interval : split(text, ',')) {
    const auto parts = split(interval, '-');
    if (parts.size() > 2)
      return fail(Code::invalid, "the fragment " + quoted(interval) +
                                     " violates the requirement that an index interval can have at most two parts separated by '-'");
    const int64_t from = TRY(number(parts[0]));
    const int64_t to = parts.size() == 2 ? TRY(number(parts[1])) : from;
    if (parts.size() == 2 && from >= to) return order(from, to);
    if (total > 0 && last >= from) return order(last, from);
    total += to - from + 1;
    last = to;
  }
  return total;
}

}  // namespace estiba::apiserver
