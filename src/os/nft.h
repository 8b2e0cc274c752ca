// nf_tables by netlink: one Transaction is one change of the packet filter, applied whole or not at all. Only what a
// program needs that owns its table: no reading of other people's rules.
//
// Registers hold 4 bytes each (NFT_REG32_00 and on), r0 … r15. A concatenated key is consecutive registers, each part
// zero-padded to 4 bytes, in the order and byte order in which the packet has them.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "os/netlink.h"

namespace estiba::os::nft {

enum class Family : uint8_t { inet = 1, ip = 2, bridge = 7, ip6 = 10 };
enum class Hook : uint8_t { prerouting, input, forward, output, postrouting };

struct Verdict {
  enum class Kind : uint8_t { accept, drop, jump, go_to, ret };
  Kind kind = Kind::accept;
  std::string chain;  ///< of jump and go_to
  bool operator==(const Verdict&) const = default;
};

// What nft(8) calls its types: they matter only for how `nft list` prints a set. A concatenation is (a << 6 | b) and so on.
enum Type : uint32_t { type_ipv4 = 7, type_ipv6 = 8, type_ether = 9, type_proto = 12, type_port = 13, type_mark = 19, type_ifname = 41 };

struct Set {
  std::string name;
  uint32_t key_type = 0, key_size = 0;
  uint32_t data_type = 0, data_size = 0;  ///< a map when data_size > 0
  bool verdicts = false;                  ///< a map of verdicts
  bool timeouts = false;                  ///< elements may end by themselves; rules may add and delete them
  uint32_t most = 0;                      ///< elements; 0: as many as come
  bool intervals = false;                 ///< keys are ranges: an element's start, and an element with interval_end after its end
};
struct Element {
  std::string key;
  std::string data;  ///< of maps
  Verdict verdict;   ///< of verdict maps
  bool interval_end = false;
  uint64_t timeout_ms = 0, expires_ms = 0;  ///< of sets with timeouts: what it began with, and what is left of it
  uint64_t packets = 0, bytes = 0;          ///< counted by Rule::count()
};

/// A transaction on one table. Build it, then commit().
class Transaction {
 public:
  Transaction(Family family, std::string table);

  void add_table();
  /// Removes the table and everything in it; it must exist (add_table() before makes sure).
  void delete_table();
  /// `note` is shown by nft(8), up to 120 bytes.
  void add_chain(std::string_view name, std::string_view note = {});
  /// `type` is "filter" or "nat"; packets that come to its end are accepted.
  void add_base_chain(std::string_view name, std::string_view type, Hook hook, int priority);
  /// With its rules; nothing may lead to it any more.
  void delete_chain(std::string_view name);
  void add_set(const Set& set);
  /// With its elements; no rule may use it any more.
  void delete_set(const Set& set);
  void add_elements(const Set& set, const std::vector<Element>& elements);
  /// Each must be there.
  void delete_elements(const Set& set, const std::vector<Element>& elements);

  bool empty() const { return changes_ == 0; }
  size_t changes() const { return changes_; }
  /// All or nothing. The error names the first thing refused.
  Result<void> commit(netlink::Socket& socket);

 private:
  friend class Rule;
  void begin(uint16_t type, uint16_t flags, std::string what);
  void elements(uint16_t type, uint16_t flags, std::string_view verb, const Set& set, const std::vector<Element>& elements);

  netlink::Batch batch_;
  Family family_;
  std::string table_;
  size_t changes_ = 0;
  uint32_t set_ids_ = 0;
};

/// Appends a rule to a chain: its expressions in the order of the calls, ended by the destructor.
///   Rule(tx, "post").load_ip_source(0).load_ip_destination(1).in_set(hairpin, 0).masquerade();
class Rule {
 public:
  Rule(Transaction& transaction, std::string_view chain);
  ~Rule();
  Rule(const Rule&) = delete;

  // Loads.
  Rule& load_ip_source(int reg) { return payload(1, 12, 4, reg); }
  Rule& load_ip_destination(int reg) { return payload(1, 16, 4, reg); }
  Rule& load_port_destination(int reg) { return payload(2, 2, 2, reg); }
  Rule& load_protocol(int reg);
  Rule& load_mark(int reg);
  /// NF_CT_STATE_BIT()s in host order: 2 established, 4 related, 8 new.
  Rule& load_ct_state(int reg);
  /// One byte, IP_CT_DIR_*: 0 as the connection began, 1 replies.
  Rule& load_ct_direction(int reg);
  /// IPS_* bits in host order: 32 destination translated.
  Rule& load_ct_status(int reg);
  Rule& load_input_name(int reg);
  Rule& load_output_name(int reg);
  /// The type of the destination address by the routing table: RTN_LOCAL, RTN_UNICAST, … in host order.
  Rule& load_destination_type(int reg);
  /// The same of the source address.
  Rule& load_source_type(int reg);
  Rule& load_value(int reg, std::string_view bytes);
  /// first … first+modulus-1, host order.
  Rule& load_random(int reg, uint32_t modulus, uint32_t first = 0);
  /// Bytes of the packet; base 0 link, 1 network, 2 transport header.
  Rule& payload(uint32_t base, uint32_t offset, uint32_t size, int reg);

  // Conditions: the rule ends when one does not hold.
  Rule& equal(int reg, std::string_view bytes) { return compare(reg, true, bytes); }
  Rule& differs(int reg, std::string_view bytes) { return compare(reg, false, bytes); }
  Rule& and_xor(int reg, std::string_view mask, std::string_view flip);
  Rule& in_set(const Set& set, int reg, bool inverted = false);
  /// The data of the key at `reg` into `to`.
  Rule& map(const Set& set, int reg, int to);
  /// The verdict of the key at `reg`.
  Rule& verdict_map(const Set& set, int reg);

  // Actions.
  Rule& set_mark(int reg);
  /// New destination: address in `address`, port (network order) in `port`.
  Rule& dnat(int address, int port);
  Rule& masquerade();
  Rule& reject_with_reset();
  Rule& reject_port_unreachable();
  Rule& verdict(const Verdict& verdict);
  /// Adds the key at `key` with the data at `data` to a map with timeouts. When it is there already its time begins anew, and its data
  /// stays. The rule ends when the set is full.
  Rule& remember(const Set& set, int key, int data, uint64_t timeout_ms) { return dynamic(set, 1, key, data, timeout_ms); }
  /// Adds the key at `key` to a set with timeouts, or begins its time anew, and counts the packet at its element. The rule ends when the
  /// set is full.
  Rule& count(const Set& set, int key, uint64_t timeout_ms);
  /// Removes the key; the data counts for nothing, but must be loaded.
  Rule& forget(const Set& set, int key, int data) { return dynamic(set, 2, key, data, 0); }

 private:
  Rule& compare(int reg, bool equal, std::string_view bytes);
  Rule& load_type(int reg, uint32_t of);
  Rule& dynamic(const Set& set, uint32_t operation, int key, int data, uint64_t timeout_ms);
  Rule& lookup(const Set& set, int reg, int to_raw, bool inverted);
  void open(std::string_view name);
  void close();

  Transaction& tx_;
  size_t list_, element_ = 0, data_ = 0;
};

/// Which tables others have changed, as the kernel has told at a netlink::watch(NETLINK_NETFILTER, NFNLGRP_NFTABLES).
struct Changes {
  std::set<std::string> tables;
  bool missed = false;  ///< more came than there was room for: it may be any
};
/// `own` are the sockets (Socket::port()) whose changes are no news.
Changes read_changes(int fd, const std::set<uint32_t>& own);

Result<bool> table_exists(netlink::Socket& socket, Family family, std::string_view table);
/// The elements of a set or map, as raw keys and data.
Result<std::vector<Element>> list_elements(netlink::Socket& socket, Family family, std::string_view table, std::string_view set);

}  // namespace estiba::os::nft
