// What machines on a link ask and tell each other about who has an address: ARP (RFC 826, RFC 5227) and IPv6's neighbour discovery
// (RFC 4861), as whole Ethernet frames.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "network/address.h"

namespace estiba::network::announce {

using Mac = std::array<uint8_t, 6>;
std::string mac_text(const Mac& mac);

struct Heard {
  enum class Kind : uint8_t {
    question,  ///< who has the address?
    answer,    ///< somebody tells the one who has asked
    claim,     ///< somebody tells everybody, unasked
  };
  Kind kind = Kind::question;
  Address address;
  Mac from{};
  Address asker;  ///< of a question; zero: its sender has no address yet
};
/// Nothing for frames that are broken or say something else.
std::optional<Heard> parse(std::string_view frame);

/// Tells everybody on the link that the address is at `own`: both forms of a gratuitous ARP, since there are machines that take only one of
/// them, or an unsolicited neighbour advertisement that overrides.
std::vector<std::string> claim(const Address& address, const Mac& own);
std::string answer(const Heard& question, const Mac& own);
/// `own_address` may be zero. `to` is the one who is asked; nothing: everybody.
std::string question(const Address& address, const Mac& own, const Address& own_address, const std::optional<Mac>& to);

/// The group at which an IPv6 address is asked for (RFC 4291, section 2.7.1): ff02::1:ffXX:XXXX.
Address solicited_node(const Address& address);

}  // namespace estiba::network::announce
