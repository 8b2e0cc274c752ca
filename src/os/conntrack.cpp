#include "os/conntrack.h"

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

namespace estiba::os::conntrack {

namespace {

uint64_t be64(std::string_view bytes) {
  uint64_t value = 0;
  if (bytes.size() == 8)
    for (char byte : bytes) value = value << 8 | uint8_t(byte);
  return value;
}

// Of a tuple: CTA_IP_V4_SRC and _DST, or CTA_IP_V6_SRC and _DST.
std::string address(const netlink::Attributes& tuple, uint16_t v4, uint16_t v6) {
  const netlink::Attributes ip = tuple.nested(CTA_TUPLE_IP);
  const std::string_view four = ip.find(v4);
  return std::string(four.empty() ? ip.find(v6) : four);
}

Connection connection_of(const netlink::Attributes& entry) {
  const netlink::Attributes original = entry.nested(CTA_TUPLE_ORIG), reply = entry.nested(CTA_TUPLE_REPLY);
  const netlink::Attributes ports = original.nested(CTA_TUPLE_PROTO), reply_ports = reply.nested(CTA_TUPLE_PROTO);
  const netlink::Attributes sent = entry.nested(CTA_COUNTERS_ORIG), received = entry.nested(CTA_COUNTERS_REPLY);
  return {.protocol = ports.u8(CTA_PROTO_NUM),
          .source = address(original, CTA_IP_V4_SRC, CTA_IP_V6_SRC),
          .destination = address(original, CTA_IP_V4_DST, CTA_IP_V6_DST),
          .server = address(reply, CTA_IP_V4_SRC, CTA_IP_V6_SRC),
          .source_port = ports.be16(CTA_PROTO_SRC_PORT),
          .destination_port = ports.be16(CTA_PROTO_DST_PORT),
          .server_port = reply_ports.be16(CTA_PROTO_SRC_PORT),
          .answered = (entry.be32(CTA_STATUS) & IPS_SEEN_REPLY) != 0,
          .packets_sent = be64(sent.find(CTA_COUNTERS_PACKETS)),
          .bytes_sent = be64(sent.find(CTA_COUNTERS_BYTES)),
          .packets_received = be64(received.find(CTA_COUNTERS_PACKETS)),
          .bytes_received = be64(received.find(CTA_COUNTERS_BYTES)),
          .began_ns = be64(entry.nested(CTA_TIMESTAMP).find(CTA_TIMESTAMP_START))};
}

}  // namespace

Result<void> list(netlink::Socket& socket, UniqueFunction<void(const Connection&)> each) {
  for (const uint8_t family : {AF_INET, AF_INET6}) {
    netlink::Batch request;
    request.begin(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP, "list the tracked connections");
    request.header(nfgenmsg{.nfgen_family = family, .version = NFNETLINK_V0});
    TRY(socket.dump(request, [&](const netlink::Message& message) { each(connection_of(message.attributes(sizeof(nfgenmsg)))); }));
  }
  return {};
}

Result<size_t> forget(netlink::Socket& socket, uint8_t family, uint8_t protocol, UniqueFunction<bool(const Flow&)> gone) {
  netlink::Batch request, removal;
  request.begin(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET, NLM_F_DUMP, "list the tracked connections");
  request.header(nfgenmsg{.nfgen_family = family, .version = NFNETLINK_V0});
  TRY(socket.dump(request, [&](const netlink::Message& message) {
    netlink::Attributes connection = message.attributes(sizeof(nfgenmsg));
    if (!(connection.be32(CTA_STATUS) & IPS_DST_NAT)) return;
    netlink::Attributes original = connection.nested(CTA_TUPLE_ORIG), reply = connection.nested(CTA_TUPLE_REPLY);
    netlink::Attributes ports = original.nested(CTA_TUPLE_PROTO), reply_ports = reply.nested(CTA_TUPLE_PROTO);
    Flow flow{.protocol = ports.u8(CTA_PROTO_NUM),
              .destination = address(original, CTA_IP_V4_DST, CTA_IP_V6_DST),
              .server = address(reply, CTA_IP_V4_SRC, CTA_IP_V6_SRC),
              .destination_port = ports.be16(CTA_PROTO_DST_PORT),
              .server_port = reply_ports.be16(CTA_PROTO_SRC_PORT)};
    if (flow.protocol != protocol || !gone(flow)) return;
    removal.begin(NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, 0, "forget a tracked connection");
    removal.tolerate(ENOENT);
    removal.header(nfgenmsg{.nfgen_family = family, .version = NFNETLINK_V0});
    removal.put(CTA_TUPLE_ORIG | NLA_F_NESTED, connection.find(CTA_TUPLE_ORIG));
    removal.put(CTA_ID, connection.find(CTA_ID));
  }));
  TRY(socket.run(removal));
  return removal.count();
}

}  // namespace estiba::os::conntrack
