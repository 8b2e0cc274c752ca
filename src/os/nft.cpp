#include "os/nft.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

namespace estiba::os::nft {

static uint16_t message(int type) { return uint16_t(NFNL_SUBSYS_NFTABLES << 8 | type); }
static uint32_t raw(int reg) { return uint32_t(NFT_REG32_00 + reg); }

// Elements of one message: its list is one attribute, whose length is 16 bits.
static constexpr size_t kListLimit = 48 << 10;

Transaction::Transaction(Family family, std::string table) : family_(family), table_(std::move(table)) {
  batch_.begin(NFNL_MSG_BATCH_BEGIN, 0, "change the table " + table_);
  batch_.header(nfgenmsg{.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = __builtin_bswap16(NFNL_SUBSYS_NFTABLES)});
}

void Transaction::begin(uint16_t type, uint16_t flags, std::string what) {
  ++changes_;
  batch_.begin(message(type), flags, std::move(what));
  batch_.header(nfgenmsg{.nfgen_family = uint8_t(family_), .version = NFNETLINK_V0});
}

void Transaction::add_table() {
  begin(NFT_MSG_NEWTABLE, NLM_F_CREATE, "add the table " + table_);
  batch_.put_name(NFTA_TABLE_NAME, table_);
}

void Transaction::delete_table() {
  begin(NFT_MSG_DELTABLE, 0, "delete the table " + table_);
  batch_.put_name(NFTA_TABLE_NAME, table_);
}

void Transaction::add_chain(std::string_view name, std::string_view note) {
  begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE, "add the chain " + std::string(name));
  batch_.put_name(NFTA_CHAIN_TABLE, table_);
  batch_.put_name(NFTA_CHAIN_NAME, name);
  if (note.empty()) return;
  // libnftnl's form: type 0 is a comment, its length, and the text with a zero byte.
  std::string comment(note.substr(0, 120));
  batch_.put(NFTA_CHAIN_USERDATA, std::string{'\0', char(comment.size() + 1)} + comment + '\0');
}

void Transaction::add_base_chain(std::string_view name, std::string_view type, Hook hook, int priority) {
  add_chain(name);
  size_t nest = batch_.open(NFTA_CHAIN_HOOK);
  batch_.put_be32(NFTA_HOOK_HOOKNUM, uint32_t(hook));
  batch_.put_be32(NFTA_HOOK_PRIORITY, uint32_t(priority));
  batch_.close(nest);
  batch_.put_be32(NFTA_CHAIN_POLICY, NF_ACCEPT);
  batch_.put_name(NFTA_CHAIN_TYPE, type);
}

void Transaction::delete_chain(std::string_view name) {
  begin(NFT_MSG_DELCHAIN, 0, "delete the chain " + std::string(name));
  batch_.put_name(NFTA_CHAIN_TABLE, table_);
  batch_.put_name(NFTA_CHAIN_NAME, name);
}

void Transaction::add_set(const Set& set) {
  begin(NFT_MSG_NEWSET, NLM_F_CREATE, "add the set " + set.name);
  batch_.put_name(NFTA_SET_TABLE, table_);
  batch_.put_name(NFTA_SET_NAME, set.name);
  batch_.put_be32(NFTA_SET_ID, ++set_ids_);
  uint32_t flags = 0;
  if (set.data_size || set.verdicts) flags |= NFT_SET_MAP;
  if (set.intervals) flags |= NFT_SET_INTERVAL;
  if (set.timeouts) flags |= NFT_SET_TIMEOUT | NFT_SET_EVAL;
  batch_.put_be32(NFTA_SET_FLAGS, flags);
  batch_.put_be32(NFTA_SET_KEY_TYPE, set.key_type);
  batch_.put_be32(NFTA_SET_KEY_LEN, set.key_size);
  if (set.most) {
    size_t description = batch_.open(NFTA_SET_DESC);
    batch_.put_be32(NFTA_SET_DESC_SIZE, set.most);
    batch_.close(description);
  }
  if (set.verdicts) {
    batch_.put_be32(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
  } else if (set.data_size) {
    batch_.put_be32(NFTA_SET_DATA_TYPE, set.data_type);
    batch_.put_be32(NFTA_SET_DATA_LEN, set.data_size);
  }
}

void Transaction::delete_set(const Set& set) {
  begin(NFT_MSG_DELSET, 0, "delete the set " + set.name);
  batch_.put_name(NFTA_SET_TABLE, table_);
  batch_.put_name(NFTA_SET_NAME, set.name);
}

// linux/netfilter/nf_tables.h: NFTA_DATA_VERDICT
static void put_verdict(netlink::Batch& batch, const Verdict& verdict) {
  static constexpr int codes[] = {NF_ACCEPT, NF_DROP, NFT_JUMP, NFT_GOTO, NFT_RETURN};
  size_t nest = batch.open(NFTA_DATA_VERDICT);
  batch.put_be32(NFTA_VERDICT_CODE, uint32_t(codes[size_t(verdict.kind)]));
  if (!verdict.chain.empty()) batch.put_name(NFTA_VERDICT_CHAIN, verdict.chain);
  batch.close(nest);
}

void Transaction::elements(uint16_t type, uint16_t flags, std::string_view verb, const Set& set, const std::vector<Element>& elements) {
  for (size_t i = 0; i < elements.size();) {
    begin(type, flags, std::string(verb) + set.name);
    batch_.put_name(NFTA_SET_ELEM_LIST_TABLE, table_);
    batch_.put_name(NFTA_SET_ELEM_LIST_SET, set.name);
    size_t list = batch_.open(NFTA_SET_ELEM_LIST_ELEMENTS);
    for (; i < elements.size() && batch_.nested_size(list) < kListLimit; ++i) {
      const Element& element = elements[i];
      size_t item = batch_.open(NFTA_LIST_ELEM);
      size_t key = batch_.open(NFTA_SET_ELEM_KEY);
      batch_.put(NFTA_DATA_VALUE, element.key);
      batch_.close(key);
      if (element.timeout_ms && type == NFT_MSG_NEWSETELEM) batch_.put_be64(NFTA_SET_ELEM_TIMEOUT, element.timeout_ms);
      if (element.expires_ms && type == NFT_MSG_NEWSETELEM) batch_.put_be64(NFTA_SET_ELEM_EXPIRATION, element.expires_ms);
      if (element.interval_end) batch_.put_be32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
      if (type == NFT_MSG_NEWSETELEM && !element.interval_end && (set.verdicts || set.data_size)) {
        size_t data = batch_.open(NFTA_SET_ELEM_DATA);
        if (set.verdicts) put_verdict(batch_, element.verdict);
        else batch_.put(NFTA_DATA_VALUE, element.data);
        batch_.close(data);
      }
      batch_.close(item);
    }
    batch_.close(list);
  }
}

void Transaction::add_elements(const Set& set, const std::vector<Element>& all) {
  elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, "add elements to the set ", set, all);
}

void Transaction::delete_elements(const Set& set, const std::vector<Element>& all) {
  elements(NFT_MSG_DELSETELEM, 0, "delete elements of the set ", set, all);
}

Result<void> Transaction::commit(netlink::Socket& socket) {
  if (changes_ == 0) return {};
  batch_.begin(NFNL_MSG_BATCH_END, 0, "finish the change of the table " + table_);
  batch_.header(nfgenmsg{.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = __builtin_bswap16(NFNL_SUBSYS_NFTABLES)});
  return within("nftables", socket.commit(batch_));
}

// --- rules -----------------------------------------------------------------------------------------------------------

Rule::Rule(Transaction& transaction, std::string_view chain) : tx_(transaction) {
  tx_.begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, "add a rule to the chain " + std::string(chain));
  tx_.batch_.put_name(NFTA_RULE_TABLE, tx_.table_);
  tx_.batch_.put_name(NFTA_RULE_CHAIN, chain);
  list_ = tx_.batch_.open(NFTA_RULE_EXPRESSIONS);
}

Rule::~Rule() { tx_.batch_.close(list_); }

void Rule::open(std::string_view name) {
  element_ = tx_.batch_.open(NFTA_LIST_ELEM);
  tx_.batch_.put_name(NFTA_EXPR_NAME, name);
  data_ = tx_.batch_.open(NFTA_EXPR_DATA);
}

void Rule::close() {
  tx_.batch_.close(data_);
  tx_.batch_.close(element_);
}

static void put_value(netlink::Batch& batch, uint16_t attribute, std::string_view bytes) {
  size_t nest = batch.open(attribute);
  batch.put(NFTA_DATA_VALUE, bytes);
  batch.close(nest);
}

Rule& Rule::payload(uint32_t base, uint32_t offset, uint32_t size, int reg) {
  open("payload");
  tx_.batch_.put_be32(NFTA_PAYLOAD_DREG, raw(reg));
  tx_.batch_.put_be32(NFTA_PAYLOAD_BASE, base);
  tx_.batch_.put_be32(NFTA_PAYLOAD_OFFSET, offset);
  tx_.batch_.put_be32(NFTA_PAYLOAD_LEN, size);
  close();
  return *this;
}

static void put_meta(netlink::Batch& batch, uint16_t direction, int reg, uint32_t key) {
  batch.put_be32(NFTA_META_KEY, key);
  batch.put_be32(direction, raw(reg));
}

Rule& Rule::load_protocol(int reg) {
  open("meta");
  put_meta(tx_.batch_, NFTA_META_DREG, reg, NFT_META_L4PROTO);
  close();
  return *this;
}
Rule& Rule::load_mark(int reg) {
  open("meta");
  put_meta(tx_.batch_, NFTA_META_DREG, reg, NFT_META_MARK);
  close();
  return *this;
}
Rule& Rule::load_ct_state(int reg) {
  open("ct");
  tx_.batch_.put_be32(NFTA_CT_KEY, NFT_CT_STATE);
  tx_.batch_.put_be32(NFTA_CT_DREG, raw(reg));
  close();
  return *this;
}
Rule& Rule::load_ct_direction(int reg) {
  open("ct");
  tx_.batch_.put_be32(NFTA_CT_KEY, NFT_CT_DIRECTION);
  tx_.batch_.put_be32(NFTA_CT_DREG, raw(reg));
  close();
  return *this;
}
Rule& Rule::load_ct_status(int reg) {
  open("ct");
  tx_.batch_.put_be32(NFTA_CT_KEY, NFT_CT_STATUS);
  tx_.batch_.put_be32(NFTA_CT_DREG, raw(reg));
  close();
  return *this;
}
Rule& Rule::load_input_name(int reg) {
  open("meta");
  put_meta(tx_.batch_, NFTA_META_DREG, reg, NFT_META_IIFNAME);
  close();
  return *this;
}
Rule& Rule::load_output_name(int reg) {
  open("meta");
  put_meta(tx_.batch_, NFTA_META_DREG, reg, NFT_META_OIFNAME);
  close();
  return *this;
}
Rule& Rule::set_mark(int reg) {
  open("meta");
  put_meta(tx_.batch_, NFTA_META_SREG, reg, NFT_META_MARK);
  close();
  return *this;
}

Rule& Rule::load_type(int reg, uint32_t of) {
  open("fib");
  tx_.batch_.put_be32(NFTA_FIB_DREG, raw(reg));
  tx_.batch_.put_be32(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
  tx_.batch_.put_be32(NFTA_FIB_FLAGS, of);
  close();
  return *this;
}
Rule& Rule::load_destination_type(int reg) { return load_type(reg, NFTA_FIB_F_DADDR); }
Rule& Rule::load_source_type(int reg) { return load_type(reg, NFTA_FIB_F_SADDR); }

Rule& Rule::load_value(int reg, std::string_view bytes) {
  open("immediate");
  tx_.batch_.put_be32(NFTA_IMMEDIATE_DREG, raw(reg));
  put_value(tx_.batch_, NFTA_IMMEDIATE_DATA, bytes);
  close();
  return *this;
}

Rule& Rule::load_random(int reg, uint32_t modulus, uint32_t first) {
  open("numgen");
  tx_.batch_.put_be32(NFTA_NG_DREG, raw(reg));
  tx_.batch_.put_be32(NFTA_NG_MODULUS, modulus);
  tx_.batch_.put_be32(NFTA_NG_TYPE, NFT_NG_RANDOM);
  tx_.batch_.put_be32(NFTA_NG_OFFSET, first);
  close();
  return *this;
}

Rule& Rule::compare(int reg, bool equal, std::string_view bytes) {
  open("cmp");
  tx_.batch_.put_be32(NFTA_CMP_SREG, raw(reg));
  tx_.batch_.put_be32(NFTA_CMP_OP, equal ? NFT_CMP_EQ : NFT_CMP_NEQ);
  put_value(tx_.batch_, NFTA_CMP_DATA, bytes);
  close();
  return *this;
}

Rule& Rule::and_xor(int reg, std::string_view mask, std::string_view flip) {
  open("bitwise");
  tx_.batch_.put_be32(NFTA_BITWISE_SREG, raw(reg));
  tx_.batch_.put_be32(NFTA_BITWISE_DREG, raw(reg));
  tx_.batch_.put_be32(NFTA_BITWISE_LEN, uint32_t(mask.size()));
  put_value(tx_.batch_, NFTA_BITWISE_MASK, mask);
  put_value(tx_.batch_, NFTA_BITWISE_XOR, flip);
  close();
  return *this;
}

Rule& Rule::lookup(const Set& set, int reg, int to_raw, bool inverted) {
  open("lookup");
  tx_.batch_.put_name(NFTA_LOOKUP_SET, set.name);
  tx_.batch_.put_be32(NFTA_LOOKUP_SREG, raw(reg));
  if (to_raw >= 0) tx_.batch_.put_be32(NFTA_LOOKUP_DREG, uint32_t(to_raw));
  if (inverted) tx_.batch_.put_be32(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
  close();
  return *this;
}

Rule& Rule::dynamic(const Set& set, uint32_t operation, int key, int data, uint64_t timeout_ms) {
  open("dynset");
  tx_.batch_.put_name(NFTA_DYNSET_SET_NAME, set.name);
  tx_.batch_.put_be32(NFTA_DYNSET_OP, operation);
  tx_.batch_.put_be32(NFTA_DYNSET_SREG_KEY, raw(key));
  tx_.batch_.put_be32(NFTA_DYNSET_SREG_DATA, raw(data));
  if (timeout_ms) tx_.batch_.put_be64(NFTA_DYNSET_TIMEOUT, timeout_ms);
  close();
  return *this;
}

Rule& Rule::count(const Set& set, int key, uint64_t timeout_ms) {
  open("dynset");
  tx_.batch_.put_name(NFTA_DYNSET_SET_NAME, set.name);
  tx_.batch_.put_be32(NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
  tx_.batch_.put_be32(NFTA_DYNSET_SREG_KEY, raw(key));
  tx_.batch_.put_be64(NFTA_DYNSET_TIMEOUT, timeout_ms);
  size_t counter = tx_.batch_.open(NFTA_DYNSET_EXPR);
  tx_.batch_.put_name(NFTA_EXPR_NAME, "counter");
  tx_.batch_.close(tx_.batch_.open(NFTA_EXPR_DATA));
  tx_.batch_.close(counter);
  close();
  return *this;
}

Rule& Rule::in_set(const Set& set, int reg, bool inverted) { return lookup(set, reg, -1, inverted); }
Rule& Rule::map(const Set& set, int reg, int to) { return lookup(set, reg, int(raw(to)), false); }
Rule& Rule::verdict_map(const Set& set, int reg) { return lookup(set, reg, NFT_REG_VERDICT, false); }

Rule& Rule::dnat(int address, int port) {
  open("nat");
  tx_.batch_.put_be32(NFTA_NAT_TYPE, NFT_NAT_DNAT);
  tx_.batch_.put_be32(NFTA_NAT_FAMILY, tx_.family_ == Family::ip6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
  tx_.batch_.put_be32(NFTA_NAT_REG_ADDR_MIN, raw(address));
  tx_.batch_.put_be32(NFTA_NAT_REG_PROTO_MIN, raw(port));
  close();
  return *this;
}

Rule& Rule::masquerade() {
  open("masq");
  // Ports chosen in order are chosen twice when two packets race, and one of them is dropped.
  tx_.batch_.put_be32(NFTA_MASQ_FLAGS, NF_NAT_RANGE_PROTO_RANDOM_FULLY);
  close();
  return *this;
}

Rule& Rule::reject_with_reset() {
  open("reject");
  tx_.batch_.put_be32(NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST);
  close();
  return *this;
}

Rule& Rule::reject_port_unreachable() {
  open("reject");
  bool inet = tx_.family_ == Family::inet;
  tx_.batch_.put_be32(NFTA_REJECT_TYPE, inet ? NFT_REJECT_ICMPX_UNREACH : NFT_REJECT_ICMP_UNREACH);
  // ICMP_PORT_UNREACH is 3, ICMPV6_PORT_UNREACH 4.
  tx_.batch_.put_u8(NFTA_REJECT_ICMP_CODE, inet ? uint8_t(NFT_REJECT_ICMPX_PORT_UNREACH) : tx_.family_ == Family::ip6 ? 4 : 3);
  close();
  return *this;
}

Rule& Rule::verdict(const Verdict& verdict) {
  open("immediate");
  tx_.batch_.put_be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
  size_t nest = tx_.batch_.open(NFTA_IMMEDIATE_DATA);
  put_verdict(tx_.batch_, verdict);
  tx_.batch_.close(nest);
  close();
  return *this;
}

// --- looking ---------------------------------------------------------------------------------------------------------

Changes read_changes(int fd, const std::set<uint32_t>& own) {
  Changes changes;
  changes.missed = !netlink::take(fd, [&](const netlink::Message& change, uint32_t port) {
    if (change.type >> 8 != NFNL_SUBSYS_NFTABLES || change.type == message(NFT_MSG_NEWGEN) || own.contains(port)) return;
    // The first attribute of everything that can be changed is its table (linux/netfilter/nf_tables.h: NFTA_*_TABLE).
    changes.tables.insert(std::string(change.attributes(sizeof(nfgenmsg)).name(NFTA_TABLE_NAME)));
  });
  return changes;
}

Result<bool> table_exists(netlink::Socket& socket, Family family, std::string_view table) {
  netlink::Batch request;
  request.begin(message(NFT_MSG_GETTABLE), NLM_F_DUMP, "list the nftables tables");
  request.header(nfgenmsg{.nfgen_family = uint8_t(family), .version = NFNETLINK_V0});
  bool found = false;
  TRY(socket.dump(request,
                  [&](const netlink::Message& answer) { found |= answer.attributes(sizeof(nfgenmsg)).name(NFTA_TABLE_NAME) == table; }));
  return found;
}

static uint64_t number(std::string_view big_endian) {
  uint64_t value = 0;
  for (char byte : big_endian) value = value << 8 | uint8_t(byte);
  return value;
}

Result<std::vector<Element>> list_elements(netlink::Socket& socket, Family family, std::string_view table, std::string_view set) {
  netlink::Batch request;
  request.begin(message(NFT_MSG_GETSETELEM), NLM_F_DUMP, "list the elements of the set " + std::string(set));
  request.header(nfgenmsg{.nfgen_family = uint8_t(family), .version = NFNETLINK_V0});
  request.put_name(NFTA_SET_ELEM_LIST_TABLE, table);
  request.put_name(NFTA_SET_ELEM_LIST_SET, set);
  std::vector<Element> found;
  TRY(socket.dump(request, [&](const netlink::Message& answer) {
    answer.attributes(sizeof(nfgenmsg)).nested(NFTA_SET_ELEM_LIST_ELEMENTS).each([&](uint16_t, std::string_view item) {
      netlink::Attributes element(item);
      netlink::Attributes data = element.nested(NFTA_SET_ELEM_DATA);
      netlink::Attributes counter = element.nested(NFTA_SET_ELEM_EXPR).nested(NFTA_EXPR_DATA);
      found.push_back({.key = std::string(element.nested(NFTA_SET_ELEM_KEY).find(NFTA_DATA_VALUE)),
                       .data = std::string(data.find(NFTA_DATA_VALUE)),
                       .verdict = {.chain = std::string(data.nested(NFTA_DATA_VERDICT).name(NFTA_VERDICT_CHAIN))},
                       .timeout_ms = number(element.find(NFTA_SET_ELEM_TIMEOUT)),
                       .expires_ms = number(element.find(NFTA_SET_ELEM_EXPIRATION)),
                       .packets = number(counter.find(NFTA_COUNTER_PACKETS)),
                       .bytes = number(counter.find(NFTA_COUNTER_BYTES))});
    });
  }));
  return found;
}

}  // namespace estiba::os::nft
