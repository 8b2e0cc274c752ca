#include "network/bridge/names.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::network::bridge {

static constexpr uint32_t kTtl = 600;  // as Docker's

// "2.0.18.172.in-addr.arpa" and its like of IPv6.
static std::optional<Address> reverse_address(std::string_view text) {
  if (text.ends_with(".in-addr.arpa")) {
    auto parts = split(text.substr(0, text.size() - 13), '.');
    std::ranges::reverse(parts);
    std::string forward;
    for (std::string_view part : parts) forward += (forward.empty() ? "" : ".") + std::string(part);
    auto address = Address::parse(forward);
    return address && parts.size() == 4 ? std::optional(*address) : std::nullopt;
  }
  if (!text.ends_with(".ip6.arpa")) return std::nullopt;
  auto parts = split(text.substr(0, text.size() - 9), '.');
  if (parts.size() != 32) return std::nullopt;
  Address address{.v6 = true};
  for (size_t i = 0; i < 32; ++i) {
    auto nibble = parts[31 - i].size() == 1 ? parse_number<uint8_t>(parts[31 - i], 16) : std::nullopt;
    if (!nibble) return std::nullopt;
    address.bytes[i / 2] |= uint8_t(*nibble << (i % 2 ? 0 : 4));
  }
  return address;
}

static const std::vector<Address>* find(const NetworkNames& network, const Asker::Network& asker, const std::string& name) {
  auto link = asker.links.find(name);
  if (link != asker.links.end()) {
    auto target = network.names.find(link->second);
    if (target != network.names.end()) return &target->second;
  }
  if (asker.links_only) return nullptr;
  auto known = network.names.find(name);
  if (known == network.names.end() && name.ends_with("." + network.network))
    known = network.names.find(name.substr(0, name.size() - network.network.size() - 1));
  return known == network.names.end() ? nullptr : &known->second;
}

static dns::Found reply_with(const std::vector<Address>& addresses, const dns::Name& name, uint16_t type) {
  dns::Found found;
  for (const Address& address : addresses)
    if (type == dns::type_any || type == (address.v6 ? dns::type_aaaa : dns::type_a))
      found.reply.answers.push_back({name, address.v6 ? dns::type_aaaa : dns::type_a, kTtl, std::string(address.raw())});
  // Clients take the first: several containers behind one alias share the load.
  auto& answers = found.reply.answers;
  if (answers.size() > 1) std::ranges::rotate(answers, answers.begin() + uint8_t(random_bytes(1)[0]) % answers.size());
  return found;
}

std::optional<dns::Found> answer(const Directory& directory, const Asker& asker, const dns::Name& name, uint16_t type) {
  std::string text = dns::text_of(dns::lower(name));
  if (text.ends_with('.')) text.pop_back();
  auto address = type == dns::type_ptr ? reverse_address(text) : std::nullopt;
  for (const Asker::Network& one : asker.networks) {
    auto network = directory.find(one.id);
    if (network == directory.end()) continue;
    if (address) {
      auto known = network->second->reverse.find(*address);
      if (one.links_only || known == network->second->reverse.end()) continue;
      auto target = dns::make_name(known->second);
      if (target) return dns::Found{.reply = {.answers = {{name, dns::type_ptr, kTtl, *target}}}};
    } else if (const auto* addresses = find(*network->second, one, text)) {
      return reply_with(*addresses, name, type);
    }
  }
  if (!asker.forwards) return dns::Found{.reply = {.rcode = dns::name_error}};
  return std::nullopt;
}

}  // namespace estiba::network::bridge
