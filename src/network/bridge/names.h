// How containers find each other: names by network, and what one container may ask. Pure.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "network/address.h"
#include "network/dns/message.h"

namespace estiba::network::bridge {

/// The names of one user-defined network. All in lower case.
struct NetworkNames {
  std::string network;                                ///< its own name: "web.red" is "web" of "red"
  std::map<std::string, std::vector<Address>> names;  ///< container names, aliases, short ids
  std::map<Address, std::string> reverse;             ///< "web.red"
};

/// A container that asks.
struct Asker {
  struct Network {
    std::string id;
    std::map<std::string, std::string> links;  ///< alias → name there
    bool links_only = false;                   ///< the default bridge: its other names are not told
  };
  std::vector<Network> networks;  ///< those with names, in the order of the search
  bool forwards = true;           ///< false: no way out of its networks
  std::vector<Address> servers;   ///< asked for other names; empty: the host's
};

using Directory = std::map<std::string, std::shared_ptr<const NetworkNames>>;  ///< by network id

/// nullopt: ask another server.
std::optional<dns::Found> answer(const Directory& directory, const Asker& asker, const dns::Name& name, uint16_t type);

}  // namespace estiba::network::bridge
