// The base chains of the packet filter, whoever made them (linux/netfilter/nf_tables.h, NFT_MSG_GETCHAIN).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "os/netlink.h"

namespace estiba::os::nft {

struct BaseChain {
  uint8_t family = 0;  ///< NFPROTO_*: 1 inet, 2 ip, 10 ip6
  std::string table, name;
  uint32_t hook = 0;  ///< NF_INET_*: 1 input, 2 forward, 3 output
  int32_t priority = 0;
  bool drops = false;  ///< its policy: what comes to its end is dropped
};
/// Of all families, in the network namespace of `socket` (NETLINK_NETFILTER).
Result<std::vector<BaseChain>> base_chains(netlink::Socket& socket);

}  // namespace estiba::os::nft
