#include "os/conntrack.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

namespace estiba::os::conntrack {

Result<size_t> forget(netlink::Socket& socket, uint8_t protocol, UniqueFunction<bool(const Flow&)> gone) {
  netlink::Batch request, removal;
  request.begin(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP, "list the tracked connections");
  request.header(nfgenmsg{.nfgen_family = AF_INET, .version = NFNETLINK_V0});
  TRY(socket.dump(request, [&](const netlink::Message& message) {
    netlink::Attributes connection = message.attributes(sizeof(nfgenmsg));
    if (!(connection.be32(CTA_STATUS) & IPS_DST_NAT)) return;
    netlink::Attributes original = connection.nested(CTA_TUPLE_ORIG), reply = connection.nested(CTA_TUPLE_REPLY);
    netlink::Attributes ports = original.nested(CTA_TUPLE_PROTO), reply_ports = reply.nested(CTA_TUPLE_PROTO);
    Flow flow{.protocol = ports.u8(CTA_PROTO_NUM),
              .destination = original.nested(CTA_TUPLE_IP).be32(CTA_IP_V4_DST),
              .server = reply.nested(CTA_TUPLE_IP).be32(CTA_IP_V4_SRC),
              .destination_port = ports.be16(CTA_PROTO_DST_PORT),
              .server_port = reply_ports.be16(CTA_PROTO_SRC_PORT)};
    if (flow.protocol != protocol || !gone(flow)) return;
    removal.begin(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0, "forget a tracked connection");
    removal.tolerate(ENOENT);
    removal.header(nfgenmsg{.nfgen_family = AF_INET, .version = NFNETLINK_V0});
    removal.put(CTA_TUPLE_ORIG | NLA_F_NESTED, connection.find(CTA_TUPLE_ORIG));
    removal.put(CTA_ID, connection.find(CTA_ID));
  }));
  TRY(socket.run(removal));
  return removal.count();
}

}  // namespace estiba::os::conntrack
