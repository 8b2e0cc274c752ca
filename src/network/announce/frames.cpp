#include "network/announce/frames.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace estiba::network::announce {

namespace {

constexpr Mac everybody{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, nobody{};
constexpr uint16_t ethertype_arp = 0x0806, ethertype_v6 = 0x86dd;
constexpr uint8_t icmpv6 = 58, solicitation = 135, advertisement = 136;
constexpr size_t ethernet_size = 14, arp_size = 28, v6_size = 40, neighbour_size = 24;
constexpr uint8_t solicited = 0x40, overriding = 0x20;  // flags of an advertisement

std::string_view bytes_of(const Mac& mac) { return {reinterpret_cast<const char*>(mac.data()), mac.size()}; }
Mac mac_at(std::string_view bytes, size_t at) {
  Mac mac;
  std::memcpy(mac.data(), bytes.data() + at, mac.size());
  return mac;
}
uint8_t byte_at(std::string_view bytes, size_t at) { return uint8_t(bytes[at]); }
uint16_t word_at(std::string_view bytes, size_t at) { return uint16_t(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1)); }
std::string word(uint16_t value) { return {char(value >> 8), char(value)}; }

std::string ethernet(const Mac& to, const Mac& from, uint16_t type) {
  return std::string(bytes_of(to)) + std::string(bytes_of(from)) + word(type);
}

// --- ARP -------------------------------------------------------------------------------------------------------------

constexpr uint16_t arp_request = 1, arp_reply = 2;

std::string arp(const Mac& to, uint16_t operation, const Mac& sender, const Address& sender_address, const Mac& target,
                const Address& target_address) {
  std::string frame = ethernet(to, sender, ethertype_arp) + word(1) + word(0x0800) + std::string{6, 4} + word(operation);
  frame.append(bytes_of(sender)).append(sender_address.raw()).append(bytes_of(target)).append(target_address.raw());
  return frame;
}

std::optional<Heard> parse_arp(std::string_view frame) {
  const std::string_view arp = frame.substr(ethernet_size);
  if (arp.size() < arp_size || word_at(arp, 0) != 1 || word_at(arp, 2) != 0x0800 || byte_at(arp, 4) != 6 || byte_at(arp, 5) != 4) return {};
  const uint16_t operation = word_at(arp, 6);
  const Mac sender = mac_at(arp, 8);
  const Address from = Address::from_raw(arp.substr(14, 4)), about = Address::from_raw(arp.substr(24, 4));
  if (operation != arp_request && operation != arp_reply) return {};
  if (from == about) return Heard{Heard::Kind::claim, from, sender, {}};
  if (operation == arp_request) return Heard{Heard::Kind::question, about, sender, from};
  return Heard{mac_at(frame, 0) == everybody ? Heard::Kind::claim : Heard::Kind::answer, from, sender, {}};
}

// --- neighbour discovery ---------------------------------------------------------------------------------------------

const Address all_nodes = Address::from_raw(std::string("\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 16));

Mac multicast_mac(const Address& group) { return {0x33, 0x33, group.bytes[12], group.bytes[13], group.bytes[14], group.bytes[15]}; }

// RFC 1071, over the pseudo header of RFC 8200, section 8.1.
uint16_t checksum(const Address& from, const Address& to, std::string_view message) {
  std::string all(from.raw());
  all.append(to.raw()).append(word(0)).append(word(uint16_t(message.size()))).append(3, '\0').append(1, char(icmpv6)).append(message);
  uint32_t sum = 0;
  for (size_t at = 0; at + 1 < all.size(); at += 2) sum += word_at(all, at);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return uint16_t(~sum);
}

// With the sender's Ethernet address as an option of the type `option`; 0: without.
std::string neighbour(const Mac& to_mac, const Mac& own, const Address& from, const Address& to, uint8_t type, uint8_t flags,
                      const Address& about, uint8_t option) {
  std::string message{char(type), 0, 0, 0, char(flags), 0, 0, 0};
  message.append(about.raw());
  if (option) message.append({char(option), 1}).append(bytes_of(own));
  message.replace(2, 2, word(checksum(from, to, message)));
  std::string frame = ethernet(to_mac, own, ethertype_v6) + std::string{0x60, 0, 0, 0} + word(uint16_t(message.size()));
  frame.append(1, char(icmpv6)).append(1, char(255)).append(from.raw()).append(to.raw());
  return frame + message;
}

// Hop limit 255 proves that no router has passed it on (RFC 4861, section 7.1).
std::optional<Heard> parse_neighbour(std::string_view frame) {
  const std::string_view header = frame.substr(ethernet_size);
  if (header.size() < v6_size + neighbour_size || byte_at(header, 6) != icmpv6 || byte_at(header, 7) != 255) return {};
  const std::string_view message = header.substr(v6_size);
  const uint8_t type = byte_at(message, 0), flags = byte_at(message, 4);
  if ((type != solicitation && type != advertisement) || byte_at(message, 1) != 0) return {};
  Heard heard{
      .address = Address::from_raw(message.substr(8, 16)), .from = mac_at(frame, 6), .asker = Address::from_raw(header.substr(8, 16))};
  const uint8_t wanted = type == solicitation ? 1 : 2;
  for (std::string_view options = message.substr(neighbour_size); options.size() >= 8;) {
    const size_t size = size_t(byte_at(options, 1)) * 8;
    if (size == 0 || size > options.size()) return {};
    if (byte_at(options, 0) == wanted) heard.from = mac_at(options, 2);
    options.remove_prefix(size);
  }
  if (type == advertisement) heard.kind = flags & solicited ? Heard::Kind::answer : Heard::Kind::claim;
  return heard;
}

}  // namespace

std::string mac_text(const Mac& mac) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
  return text;
}

std::optional<Heard> parse(std::string_view frame) {
  if (frame.size() < ethernet_size) return {};
  const uint16_t type = word_at(frame, 12);
  if (type == ethertype_arp) return parse_arp(frame);
  return type == ethertype_v6 ? parse_neighbour(frame) : std::nullopt;
}

Address solicited_node(const Address& address) {
  Address group = all_nodes;
  group.bytes[11] = 1;
  group.bytes[12] = 0xff;
  std::copy(address.bytes.begin() + 13, address.bytes.end(), group.bytes.begin() + 13);
  return group;
}

std::vector<std::string> claim(const Address& address, const Mac& own) {
  if (!address.v6)
    return {arp(everybody, arp_request, own, address, nobody, address), arp(everybody, arp_reply, own, address, everybody, address)};
  return {neighbour(multicast_mac(all_nodes), own, address, all_nodes, advertisement, overriding, address, 2)};
}

std::string answer(const Heard& question, const Mac& own) {
  const Address& address = question.address;
  if (!address.v6) return arp(question.from, arp_reply, own, address, question.from, question.asker);
  // Who has no address yet is answered through everybody (RFC 4861, section 7.2.4).
  if (question.asker.is_zero()) return claim(address, own).front();
  return neighbour(question.from, own, address, question.asker, advertisement, solicited | overriding, address, 2);
}

std::string question(const Address& address, const Mac& own, const Address& own_address, const std::optional<Mac>& to) {
  if (!address.v6) return arp(to.value_or(everybody), arp_request, own, own_address, nobody, address);
  const Address group = solicited_node(address);
  return neighbour(to.value_or(multicast_mac(group)), own, own_address, to ? address : group, solicitation, 0, address,
                   own_address.is_zero() ? 0 : 1);
}

}  // namespace estiba::network::announce
