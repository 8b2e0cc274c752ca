#include "ingress/proxy_protocol.h"

#include "base/address.h"
#include "base/strings.h"

namespace estiba::ingress {

namespace {

constexpr std::string_view signature("\r\n\r\n\0\r\nQUIT\n", 12);  // of version 2
constexpr size_t longest_line = 107;                               // of version 1, with its end

struct End {
  Address address;
  uint16_t port = 0;
  std::string text() const { return (address.v6 ? "[" + address.text() + "]" : address.text()) + ":" + std::to_string(port); }
};

std::unexpected<Error> malformed(std::string_view why) { return fail(Code::malformed, "PROXY protocol: " + std::string(why)); }

uint16_t number_at(std::string_view bytes, size_t at) { return uint16_t(uint8_t(bytes[at]) << 8 | uint8_t(bytes[at + 1])); }

Result<ProxyHeader> parse_v1(std::string_view bytes) {
  const size_t end = bytes.substr(0, longest_line).find("\r\n");
  if (end == bytes.npos) {
    if (bytes.size() >= longest_line) return malformed("the line has no end");
    return ProxyHeader{.needed = bytes.size() + 1};
  }
  ProxyHeader out{.length = end + 2};
  const auto words = split(bytes.substr(0, end), ' ');
  if (words.size() >= 2 && words[1] == "UNKNOWN") return out;
  const bool v6 = words.size() == 6 && words[1] == "TCP6";
  if (words.size() != 6 || (!v6 && words[1] != "TCP4")) return malformed("a line must be PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT");
  End ends[2];
  for (size_t i = 0; i < 2; ++i) {
    const auto address = Address::parse(words[2 + i]);
    const auto port = words[4 + i].starts_with('+') ? std::nullopt : parse_number<uint16_t>(words[4 + i]);
    if (!address || address->v6 != v6 || !port) return malformed("the line's addresses or ports are none");
    ends[i] = {*address, *port};
  }
  out.ends = ConnectionEnds{ends[0].text(), ends[1].text()};
  return out;
}

Result<ProxyHeader> parse_v2(std::string_view bytes) {
  constexpr size_t fixed = 16;
  if (bytes.size() < fixed) return ProxyHeader{.needed = fixed};
  const uint8_t version = uint8_t(bytes[12]) >> 4, command = bytes[12] & 15, family = uint8_t(bytes[13]) >> 4, transport = bytes[13] & 15;
  if (version != 2 || command > 1) return malformed("version and command must be 2 and LOCAL or PROXY");
  const size_t length = fixed + number_at(bytes, 14);
  if (length > longest_proxy_header) return malformed("the header is longer than " + std::to_string(longest_proxy_header) + " bytes");
  if (bytes.size() < length) return ProxyHeader{.needed = length};
  ProxyHeader out{.length = length};
  const size_t size = family == 1 ? 4 : 16;
  if (command == 0 || (family != 1 && family != 2) || transport != 1) return out;
  if (length < fixed + 2 * size + 4) return malformed("the header is too short for its addresses");
  const std::string_view rest = bytes.substr(fixed);
  const End source{Address::from_raw(rest.substr(0, size)), number_at(rest, 2 * size)};
  const End destination{Address::from_raw(rest.substr(size, size)), number_at(rest, 2 * size + 2)};
  out.ends = ConnectionEnds{source.text(), destination.text()};
  return out;
}

// "10.0.0.1:80", "[::1]:80"
std::optional<End> parse_end(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == text.npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto address = Address::parse(host);
  const auto port = parse_number<uint16_t>(text.substr(colon + 1));
  if (!address || !port) return std::nullopt;
  return End{*address, *port};
}

void append_number(std::string& out, uint16_t number) {
  out += char(number >> 8);
  out += char(number & 255);
}

}  // namespace

Result<ProxyHeader> parse_proxy_header(std::string_view bytes) {
  constexpr std::string_view word = "PROXY ";
  if (bytes.substr(0, signature.size()) == signature.substr(0, bytes.size())) return parse_v2(bytes);
  if (bytes.substr(0, word.size()) == word.substr(0, bytes.size())) return parse_v1(bytes);
  return malformed("the connection does not begin with a header");
}

std::optional<ProxyProtocol> proxy_protocol_of(std::string_view text) {
  if (text == "v1") return ProxyProtocol::v1;
  if (text == "v2") return ProxyProtocol::v2;
  return std::nullopt;
}

std::string proxy_header(ProxyProtocol version, const ConnectionEnds& ends) {
  if (version == ProxyProtocol::none) return {};
  const auto source = parse_end(ends.source), destination = parse_end(ends.destination);
  const bool known = source && destination && source->address.v6 == destination->address.v6;
  if (version == ProxyProtocol::v1) {
    if (!known) return "PROXY UNKNOWN\r\n";
    return std::string("PROXY ") + (source->address.v6 ? "TCP6 " : "TCP4 ") + source->address.text() + " " + destination->address.text() +
           " " + std::to_string(source->port) + " " + std::to_string(destination->port) + "\r\n";
  }
  std::string out(signature);
  out += '\x21';  // version 2, PROXY
  out += known ? (source->address.v6 ? '\x21' : '\x11') : '\0';
  append_number(out, known ? uint16_t(2 * source->address.size() + 4) : 0);
  if (!known) return out;
  out.append(source->address.raw()).append(destination->address.raw());
  append_number(out, source->port);
  append_number(out, destination->port);
  return out;
}

}  // namespace estiba::ingress
