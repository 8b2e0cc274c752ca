// ip(), cidr() and what they know.
#include "base/strings.h"
#include "cel/function.h"
#include "cel/library/objects.h"

namespace estiba::cel {

namespace {

bool parse_v4(std::string_view text, uint8_t* out, std::string& problem) {
  const auto parts = split(text, '.');
  for (size_t i = 0; i < parts.size(); i++) {
    const std::string_view part = parts[i];
    if (part.empty() || part.find_first_not_of("0123456789") != std::string_view::npos)
      return problem = part.empty() ? "IPv4 field must have at least one digit" : "unexpected character", false;
    if (part.size() > 1 && part[0] == '0') return problem = "IPv4 field has octet with leading zero", false;
    const auto number = parse_number<uint32_t>(part);
    if (!number || *number > 255) return problem = "IPv4 field has value >255", false;
    if (i < 4) out[i] = uint8_t(*number);
  }
  if (parts.size() < 4) return problem = "IPv4 address too short", false;
  if (parts.size() > 4) return problem = "IPv4 address too long", false;
  return true;
}

bool parse_v6(std::string_view text, uint8_t* out, std::string& problem) {
  size_t filled = 0, gap = std::string_view::npos, at = 0;
  const auto refuse = [&](std::string_view why) {
    problem = std::string(why) + " (at " + quoted(text.substr(at)) + ")";
    return false;
  };
  if (text.starts_with("::")) {
    gap = 0;
    at = 2;
  }
  while (at < text.size()) {
    if (filled >= 16) return refuse("trailing garbage after address");
    const size_t end = std::min(text.find_first_not_of("0123456789abcdefABCDEF", at), text.size());
    const std::string_view part = text.substr(at, end - at);
    if (part.empty()) return refuse("each colon-separated field must have at least one digit");
    if (part.size() > 4) return refuse("each group must have 4 or less digits");
    if (end < text.size() && text[end] == '.') {
      if (gap == std::string_view::npos && filled != 12)
        return refuse("embedded IPv4 address must replace the final 2 fields of the address");
      if (filled > 12) return refuse("too many hex fields to fit an embedded IPv4 address");
      if (!parse_v4(text.substr(at), out + filled, problem)) return false;
      filled += 4;
      at = text.size();
      break;
    }
    const uint32_t number = *parse_number<uint32_t>(part, 16);
    out[filled++] = uint8_t(number >> 8);
    out[filled++] = uint8_t(number);
    at = end;
    if (at == text.size()) break;
    if (text[at] != ':') return refuse("unexpected character, want colon");
    if (at + 1 == text.size()) return refuse("colon must be followed by more characters");
    at++;
    if (text[at] != ':') continue;
    if (gap != std::string_view::npos) return refuse("multiple :: in address");
    gap = filled;
    at++;
  }
  if (filled < 16 && gap == std::string_view::npos) return problem = "address string too short", false;
  if (filled == 16 && gap != std::string_view::npos) return problem = "the :: must expand to at least one field of zeros", false;
  if (filled < 16) {
    const size_t move = filled - gap;
    std::memmove(out + 16 - move, out + gap, move);
    std::memset(out + gap, 0, 16 - filled);
  }
  return true;
}

bool is_mapped(const IpAddress& address) {
  if (!address.v6) return false;
  for (int i = 0; i < 10; i++)
    if (address.bytes[size_t(i)]) return false;
  return address.bytes[10] == 0xff && address.bytes[11] == 0xff;
}

std::optional<IpAddress> parse_any(std::string_view text, std::string& problem) {
  IpAddress address;
  for (const char c : text) {
    if (c == '.') return parse_v4(text, address.bytes.data(), problem) ? std::optional(address) : std::nullopt;
    if (c == ':') {
      address.v6 = true;
      return parse_v6(text, address.bytes.data(), problem) ? std::optional(address) : std::nullopt;
    }
    if (c == '%') return problem = "missing IPv6 address", std::nullopt;
  }
  return problem = "unable to parse IP", std::nullopt;
}

}  // namespace

std::optional<IpAddress> parse_ip(std::string_view text, std::string& error) {
  const size_t zone = text.find('%');
  std::string problem;
  auto address = parse_any(text.substr(0, zone), problem);
  if (!address) {
    error = "IP Address " + quoted(text) + " parse error during conversion from string: ParseAddr(" + quoted(text) + "): " + problem;
  } else if (zone != std::string_view::npos) {
    error = "IP address " + quoted(text) + " with zone value is not allowed";
  } else if (is_mapped(*address)) {
    error = "IPv4-mapped IPv6 address " + quoted(text) + " is not allowed";
  }
  return error.empty() ? address : std::nullopt;
}

std::string print_ip(const IpAddress& address) {
  const auto& b = address.bytes;
  if (!address.v6) return std::to_string(b[0]) + "." + std::to_string(b[1]) + "." + std::to_string(b[2]) + "." + std::to_string(b[3]);
  const auto group = [&](int i) { return b[size_t(2 * i)] << 8 | b[size_t(2 * i + 1)]; };
  int best = -1, best_length = 1;
  for (int i = 0; i < 8; i++) {
    int length = 0;
    while (i + length < 8 && group(i + length) == 0) length++;
    if (length > best_length) best = i, best_length = length;
  }
  std::string out;
  for (int i = 0; i < 8; i++) {
    if (i == best) {
      out += "::";
      i += best_length - 1;
      continue;
    }
    if (!out.empty() && !out.ends_with(':')) out += ':';
    char text[8];
    snprintf(text, sizeof text, "%x", group(i));
    out += text;
  }
  return out;
}

namespace library {

namespace {

Value ip_value(Context& c, const IpAddress& address) {
  return Value::object(c.memory.arena().make<IpObject>(IpObject{{Object::Is::ip}, address}), &types::ip);
}
Value cidr_value(Context& c, const IpAddress& address, int bits) {
  return Value::object(c.memory.arena().make<CidrObject>(CidrObject{{Object::Is::cidr}, address, bits}), &types::cidr);
}

/// A prefix as netip.ParsePrefix reads it: host bits may be set.
std::optional<std::pair<IpAddress, int>> parse_cidr(std::string_view text, std::string& error) {
  const std::string start = "network address parse error during conversion from string: ";
  const auto refuse = [&](std::string_view why) {
    error = start + "netip.ParsePrefix(" + quoted(text) + "): " + std::string(why);
    return std::nullopt;
  };
  const size_t slash = text.rfind('/');
  if (slash == std::string_view::npos) return refuse("no '/'");
  std::string problem;
  const std::string_view address_text = text.substr(0, slash), length = text.substr(slash + 1);
  const auto address = parse_any(address_text, problem);
  if (!address) return refuse("ParseAddr(" + quoted(address_text) + "): " + problem);
  if (address_text.find('%') != std::string_view::npos) return refuse("IPv6 zones cannot be present in a prefix");
  const auto bits = length.size() > 3 || (length.size() > 1 && length[0] == '0') ? std::nullopt : parse_number<uint32_t>(length);
  if (!bits) return refuse("bad bits after slash: " + quoted(length));
  if (*bits > address->size() * 8) return refuse("prefix length out of range");
  if (is_mapped(*address)) {
    error = "IPv4-mapped IPv6 address " + quoted(text) + " is not allowed";
    return std::nullopt;
  }
  return std::pair(*address, int(*bits));
}

IpAddress masked(IpAddress address, int bits) {
  for (size_t i = 0; i < address.size(); i++) {
    const int keep = std::clamp(bits - int(i) * 8, 0, 8);
    address.bytes[i] &= uint8_t(0xff00 >> keep);
  }
  return address;
}

bool contains(const CidrObject& cidr, const IpAddress& address) {
  return cidr.address.v6 == address.v6 && masked(cidr.address, cidr.bits) == masked(address, cidr.bits);
}

Value to_ip(Context& c, Args a) {
  std::string error;
  const auto address = parse_ip(a[0].text(), error);
  return address ? ip_value(c, *address) : c.memory.error(error);
}
Value is_ip(Context&, Args a) {
  std::string error;
  return Value::boolean(parse_ip(a[0].text(), error).has_value());
}
Value is_canonical(Context& c, Args a) {
  std::string error;
  const auto address = parse_ip(a[0].text(), error);
  return address ? Value::boolean(print_ip(*address) == a[0].text()) : c.memory.error(error);
}

Value family(Context&, Args a) { return Value::integer(as<IpObject>(a[0]).address.v6 ? 6 : 4); }

bool unspecified(const IpAddress& address) { return address.bytes == std::array<uint8_t, 16>{}; }
bool loopback(const IpAddress& address) {
  if (!address.v6) return address.bytes[0] == 127;
  std::array<uint8_t, 16> one{};
  one[15] = 1;
  return address.bytes == one;
}
bool link_local_multicast(const IpAddress& address) {
  const auto& b = address.bytes;
  return address.v6 ? b[0] == 0xff && (b[1] & 0x0f) == 0x02 : b[0] == 224 && b[1] == 0 && b[2] == 0;
}
bool link_local_unicast(const IpAddress& address) {
  const auto& b = address.bytes;
  return address.v6 ? b[0] == 0xfe && (b[1] & 0xc0) == 0x80 : b[0] == 169 && b[1] == 254;
}
bool multicast(const IpAddress& address) { return address.v6 ? address.bytes[0] == 0xff : (address.bytes[0] & 0xf0) == 0xe0; }
bool global_unicast(const IpAddress& address) {
  const bool broadcast =
      !address.v6 && address.bytes[0] == 255 && address.bytes[1] == 255 && address.bytes[2] == 255 && address.bytes[3] == 255;
  return !broadcast && !unspecified(address) && !loopback(address) && !multicast(address) && !link_local_unicast(address);
}

template <bool (*test)(const IpAddress&)>
Value is(Context&, Args a) {
  return Value::boolean(test(as<IpObject>(a[0]).address));
}

Value to_cidr(Context& c, Args a) {
  std::string error;
  const auto cidr = parse_cidr(a[0].text(), error);
  if (!cidr) return c.memory.error("network address parse error during conversion from string: " + error);
  return cidr_value(c, cidr->first, cidr->second);
}
Value is_cidr(Context&, Args a) {
  std::string error;
  return Value::boolean(parse_cidr(a[0].text(), error).has_value());
}
Value contains_ip(Context&, Args a) { return Value::boolean(contains(as<CidrObject>(a[0]), as<IpObject>(a[1]).address)); }
Value contains_ip_text(Context& c, Args a) {
  std::string error;
  const auto address = parse_ip(a[1].text(), error);
  return address ? Value::boolean(contains(as<CidrObject>(a[0]), *address)) : c.memory.error(error);
}
Value contains_cidr(Context&, Args a) {
  const auto& inner = as<CidrObject>(a[1]);
  return Value::boolean(as<CidrObject>(a[0]).bits <= inner.bits && contains(as<CidrObject>(a[0]), inner.address));
}
Value contains_cidr_text(Context& c, Args a) {
  const Value other = to_cidr(c, a.subspan(1));
  if (other.is_error()) return other;
  const Value both[] = {a[0], other};
  return contains_cidr(c, both);
}
Value cidr_ip(Context& c, Args a) { return ip_value(c, as<CidrObject>(a[0]).address); }
Value prefix_length(Context&, Args a) { return Value::integer(as<CidrObject>(a[0]).bits); }
Value masked_cidr(Context& c, Args a) {
  const auto& cidr = as<CidrObject>(a[0]);
  return cidr_value(c, masked(cidr.address, cidr.bits), cidr.bits);
}

constexpr auto table = std::to_array<Native>({
    {"ip", "string_to_ip", "(string):net.IP", to_ip},
    {"isIP", "is_ip", "(string):bool", is_ip},
    {"ip.isCanonical", "ip_is_canonical", "(string):bool", is_canonical},
    {"family", "ip_family", "net.IP.():int", family},
    {"isUnspecified", "ip_is_unspecified", "net.IP.():bool", is<unspecified>},
    {"isLoopback", "ip_is_loopback", "net.IP.():bool", is<loopback>},
    {"isLinkLocalMulticast", "ip_is_link_local_multicast", "net.IP.():bool", is<link_local_multicast>},
    {"isLinkLocalUnicast", "ip_is_link_local_unicast", "net.IP.():bool", is<link_local_unicast>},
    {"isGlobalUnicast", "ip_is_global_unicast", "net.IP.():bool", is<global_unicast>},
    {"cidr", "string_to_cidr", "(string):net.CIDR", to_cidr},
    {"isCIDR", "is_cidr", "(string):bool", is_cidr},
    {"containsIP", "cidr_contains_ip_string", "net.CIDR.(string):bool", contains_ip_text},
    {"containsIP", "cidr_contains_ip_ip", "net.CIDR.(net.IP):bool", contains_ip},
    {"containsCIDR", "cidr_contains_cidr_string", "net.CIDR.(string):bool", contains_cidr_text},
    {"containsCIDR", "cidr_contains_cidr", "net.CIDR.(net.CIDR):bool", contains_cidr},
    {"ip", "cidr_ip", "net.CIDR.():net.IP", cidr_ip},
    {"prefixLength", "cidr_prefix_length", "net.CIDR.():int", prefix_length},
    {"masked", "cidr_masked", "net.CIDR.():net.CIDR", masked_cidr},
});

}  // namespace

std::span<const Native> addresses() { return table; }

}  // namespace library
}  // namespace estiba::cel
