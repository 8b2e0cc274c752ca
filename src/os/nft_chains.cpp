#include "os/nft_chains.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

namespace estiba::os::nft {

Result<std::vector<BaseChain>> base_chains(netlink::Socket& socket) {
  netlink::Batch request;
  request.begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN, NLM_F_DUMP, "list the nftables chains");
  request.header(nfgenmsg{.nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0});
  std::vector<BaseChain> found;
  TRY(socket.dump(request, [&](const netlink::Message& answer) {
    nfgenmsg header{};
    const netlink::Attributes chain = answer.attributes(sizeof header);
    if (!answer.read(header) || !chain.find(NFTA_CHAIN_HOOK).data()) return;
    const netlink::Attributes hook = chain.nested(NFTA_CHAIN_HOOK);
    found.push_back({.family = header.nfgen_family,
                     .table = std::string(chain.name(NFTA_CHAIN_TABLE)),
                     .name = std::string(chain.name(NFTA_CHAIN_NAME)),
                     .hook = hook.be32(NFTA_HOOK_HOOKNUM),
                     .priority = int32_t(hook.be32(NFTA_HOOK_PRIORITY)),
                     .drops = chain.be32(NFTA_CHAIN_POLICY, NF_ACCEPT) == NF_DROP});
  }));
  return found;
}

}  // namespace estiba::os::nft
