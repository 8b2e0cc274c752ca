// DNS messages (RFC 1035, EDNS of RFC 6891): only what a resolver for pods needs. Everything read from the wire is checked;
// a hostile message costs time linear in its length.
#pragma once
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace estiba::network::dns {

enum Type : uint16_t {
  type_a = 1,
  type_ns = 2,
  type_cname = 5,
  type_soa = 6,
  type_ptr = 12,
  type_hinfo = 13,
  type_txt = 16,
  type_aaaa = 28,
  type_srv = 33,
  type_opt = 41,
  type_any = 255
};
enum Rcode : uint8_t {
  no_error = 0,
  format_error = 1,
  server_failure = 2,
  name_error = 3,
  not_implemented = 4,
  refused = 5,
  bad_version = 16
};
inline constexpr uint16_t class_in = 1;

/// A domain name as on the wire, uncompressed: length, label, …, 0. At most 255 bytes, labels at most 63.
using Name = std::string;

/// From "web.default.svc.cluster.local", with or without the final dot; nullopt when a label is empty or too long.
std::optional<Name> make_name(std::string_view text);
/// Its labels, which point into `name`.
std::vector<std::string_view> labels_of(std::string_view name);
std::string text_of(std::string_view name);
Name lower(std::string_view name);
/// `label` before `name`.
Name prepend(std::string_view label, std::string_view name);

struct Record {
  Name name;
  uint16_t type = 0;
  uint32_t ttl = 0;
  std::string data;  ///< names within are uncompressed
};

/// A question, as a client asks it.
struct Query {
  uint16_t id = 0;
  bool recursion_desired = false, checking_disabled = false;
  Name name;  ///< in the client's spelling
  uint16_t type = 0, qclass = 0;
  bool edns = false, dnssec_ok = false;
  uint16_t udp_size = 512;
};
/// What to answer to a message that cannot be taken: nothing at all, or an error.
struct Refusal {
  bool drop = true;
  uint16_t id = 0;
  uint8_t rcode = 0;  ///< below 16, or bad_version
};
std::expected<Query, Refusal> parse_query(std::string_view message);
/// The answer to a refusal that is not dropped.
std::string refuse(const Refusal& refusal);

struct Reply {
  uint8_t rcode = no_error;
  bool authoritative = false;
  std::vector<Record> answers, authority, additional;
};
/// What is known of a question.
struct Found {
  Reply reply;
  Name chase;  ///< not empty: the answer ends in a CNAME to this name, which somebody else must be asked for
};
/// At most `limit` bytes: answers that do not fit are left out and the message is marked as truncated; additional records
/// are left out silently.
std::string encode(const Query& query, const Reply& reply, size_t limit);
/// The longest answer by UDP, in bytes: longer ones are fragmented on the way, and lost more often than not.
inline constexpr uint16_t kOurUdpSize = 1232;
/// What a client can take by UDP, at most kOurUdpSize.
size_t udp_limit(const Query& query);
/// The question, as a message for another server.
std::string encode_query(const Query& query, uint16_t id);

/// An answer of another server.
struct Answer {
  uint16_t id = 0;
  uint8_t rcode = 0;
  bool truncated = false;
  Name name;
  uint16_t type = 0, qclass = 0;
  std::vector<Record> answers;      ///< data of A, AAAA and CNAME records uncompressed; of others as sent
  std::vector<size_t> ttl_offsets;  ///< of every record but OPT
  uint32_t least_ttl = 0;           ///< of answers; of the SOA's minimum and TTL when there are none; 0 when unknown
};
/// nullopt when it is no well-formed answer to one question.
std::optional<Answer> parse_answer(std::string_view message);

std::string srv_data(uint16_t priority, uint16_t weight, uint16_t port, std::string_view target);
std::string soa_data(std::string_view server, std::string_view mailbox, uint32_t serial, uint32_t minimum);

}  // namespace estiba::network::dns
