#include "network/dns/message.h"

#include <algorithm>
#include <map>

namespace estiba::network::dns {

namespace {

constexpr size_t kHeader = 12, kMaxName = 255, kMaxLabel = 63;
constexpr uint16_t kFlagQr = 0x8000, kFlagAa = 0x0400, kFlagTc = 0x0200, kFlagRd = 0x0100, kFlagRa = 0x0080, kFlagCd = 0x0010;

uint16_t get16(std::string_view bytes, size_t at) { return uint16_t(uint8_t(bytes[at]) << 8 | uint8_t(bytes[at + 1])); }
uint32_t get32(std::string_view bytes, size_t at) { return uint32_t(get16(bytes, at)) << 16 | get16(bytes, at + 2); }
void put16(std::string& out, uint16_t value) {
  out += char(value >> 8);
  out += char(value);
}
void put32(std::string& out, uint32_t value) {
  put16(out, uint16_t(value >> 16));
  put16(out, uint16_t(value));
}
void set16(std::string& out, size_t at, uint16_t value) {
  out[at] = char(value >> 8);
  out[at + 1] = char(value);
}

// Reads a name at `at` and moves `at` behind it. Every pointer must lead to before the place it was read from, so that
// following them ends; the length limit bounds the work.
bool read_name(std::string_view message, size_t& at, Name& name) {
  name.clear();
  size_t from = at, barrier = at;
  bool jumped = false;
  for (;;) {
    if (from >= message.size()) return false;
    uint8_t length = uint8_t(message[from]);
    if ((length & 0xc0) == 0xc0) {
      if (from + 1 >= message.size()) return false;
      size_t to = get16(message, from) & 0x3fff;
      if (!jumped) at = from + 2;
      jumped = true;
      if (to >= barrier) return false;
      barrier = from = to;
      continue;
    }
    if (length > kMaxLabel || from + 1 + length > message.size() || name.size() + 1 + length + (length ? 1 : 0) > kMaxName) return false;
    name.append(message.substr(from, 1 + length));
    from += 1 + length;
    if (length == 0) break;
  }
  if (!jumped) at = from;
  return true;
}

struct RawRecord {
  Name name;
  uint16_t type = 0, rclass = 0;
  uint32_t ttl = 0;
  size_t ttl_at = 0, data_at = 0, data_size = 0;
};

bool read_record(std::string_view message, size_t& at, RawRecord& record) {
  if (!read_name(message, at, record.name) || at + 10 > message.size()) return false;
  record.type = get16(message, at);
  record.rclass = get16(message, at + 2);
  record.ttl = get32(message, at + 4);
  record.ttl_at = at + 4;
  record.data_size = get16(message, at + 8);
  record.data_at = at += 10;
  at += record.data_size;
  return at <= message.size();
}

}  // namespace

// --- names -----------------------------------------------------------------------------------------------------------

std::optional<Name> make_name(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  Name name;
  while (!text.empty()) {
    std::string_view label = text.substr(0, text.find('.'));
    if (label.empty() || label.size() > kMaxLabel) return std::nullopt;
    name += char(label.size());
    name += label;
    text.remove_prefix(label.size());
    if (text.empty()) break;
    text.remove_prefix(1);
    if (text.empty()) return std::nullopt;
  }
  name += '\0';
  if (name.size() > kMaxName) return std::nullopt;
  return name;
}

std::vector<std::string_view> labels_of(std::string_view name) {
  std::vector<std::string_view> labels;
  while (!name.empty() && name[0] && size_t(name[0]) < name.size()) {
    labels.push_back(name.substr(1, size_t(name[0])));
    name.remove_prefix(1 + size_t(name[0]));
  }
  return labels;
}

std::string text_of(std::string_view name) {
  std::string text;
  for (std::string_view label : labels_of(name)) {
    for (char c : label) text += c > ' ' && c < 127 && c != '.' ? c : '?';
    text += '.';
  }
  return text.empty() ? "." : text;
}

// Length bytes are below 64 and so no letters.
Name lower(std::string_view name) {
  Name low(name);
  for (char& c : low)
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  return low;
}

Name prepend(std::string_view label, std::string_view name) {
  Name longer(1, char(label.size()));
  return longer.append(label).append(name);
}

// --- questions -------------------------------------------------------------------------------------------------------

static std::optional<Refusal> read_edns(std::string_view message, size_t at, size_t count, Query& query) {
  Refusal broken{false, query.id, format_error};
  for (; count > 0; --count) {
    RawRecord record;
    if (!read_record(message, at, record)) return broken;
    if (record.type != type_opt) continue;
    if (query.edns || record.name.size() != 1) return broken;
    query.edns = true;
    query.udp_size = record.rclass;
    query.dnssec_ok = record.ttl & 0x8000;
    if ((record.ttl >> 16 & 0xff) != 0) return Refusal{false, query.id, bad_version};
  }
  return std::nullopt;
}

std::expected<Query, Refusal> parse_query(std::string_view message) {
  if (message.size() < kHeader) return std::unexpected(Refusal{});
  uint16_t flags = get16(message, 2);
  // Answering an answer could go on for ever.
  if (flags & kFlagQr) return std::unexpected(Refusal{});
  Query query{.id = get16(message, 0), .recursion_desired = (flags & kFlagRd) != 0, .checking_disabled = (flags & kFlagCd) != 0};
  auto refusal = [&](uint8_t rcode) { return std::unexpected(Refusal{false, query.id, rcode}); };
  if (flags >> 11 & 0xf) return refusal(not_implemented);
  size_t at = kHeader, records = size_t(get16(message, 6)) + get16(message, 8) + get16(message, 10);
  if (get16(message, 4) != 1 || !read_name(message, at, query.name) || at + 4 > message.size()) return refusal(format_error);
  query.type = get16(message, at);
  query.qclass = get16(message, at + 2);
  if (auto broken = read_edns(message, at + 4, records, query)) return std::unexpected(*broken);
  return query;
}

std::string refuse(const Refusal& refusal) {
  std::string out;
  put16(out, refusal.id);
  put16(out, uint16_t(kFlagQr | kFlagRa | (refusal.rcode & 0xf)));
  out.append(8, '\0');
  if (refusal.rcode < 16) return out;
  out[11] = 1;  // the upper bits of the code travel in an OPT record
  out += '\0';
  put16(out, type_opt);
  put16(out, kOurUdpSize);
  put32(out, uint32_t(refusal.rcode >> 4) << 24);
  put16(out, 0);
  return out;
}

size_t udp_limit(const Query& query) { return query.edns ? std::clamp<size_t>(query.udp_size, 512, kOurUdpSize) : 512; }

// --- writing ---------------------------------------------------------------------------------------------------------

namespace {

class Writer {
 public:
  explicit Writer(size_t limit) : limit_(limit) {}

  void name(std::string_view name) {
    for (std::string_view rest = name; rest.size() > 1;) {
      Name key = lower(rest);
      if (auto known = known_.find(key); known != known_.end()) return put16(out, uint16_t(0xc000 | known->second));
      if (out.size() < 0x4000) known_.emplace(std::move(key), out.size());
      size_t size = 1 + size_t(uint8_t(rest[0]));
      out.append(rest.substr(0, size));
      rest.remove_prefix(size);
    }
    out += '\0';
  }
  // False, and nothing written, when it does not fit.
  bool record(const Record& record) {
    size_t before = out.size();
    name(record.name);
    put16(out, record.type);
    put16(out, class_in);
    put32(out, record.ttl);
    put16(out, uint16_t(record.data.size()));
    out += record.data;
    if (out.size() <= limit_) return true;
    out.resize(before);
    std::erase_if(known_, [&](const auto& entry) { return entry.second >= before; });
    return false;
  }
  std::string out;

 private:
  size_t limit_;
  std::map<Name, size_t, std::less<>> known_;
};

void put_question(Writer& writer, const Query& query) {
  writer.name(query.name);
  put16(writer.out, query.type);
  put16(writer.out, query.qclass);
}

void put_opt(std::string& out, uint16_t size, bool dnssec_ok) {
  out += '\0';
  put16(out, type_opt);
  put16(out, size);
  put32(out, dnssec_ok ? 0x8000 : 0);
  put16(out, 0);
}

}  // namespace

std::string encode(const Query& query, const Reply& reply, size_t limit) {
  constexpr size_t opt_size = 11;
  Writer writer(limit - (query.edns ? opt_size : 0));
  writer.out.resize(kHeader);
  put_question(writer, query);
  uint16_t flags = uint16_t(kFlagQr | kFlagRa | (reply.rcode & 0xf));
  if (reply.authoritative) flags |= kFlagAa;
  if (query.recursion_desired) flags |= kFlagRd;
  if (query.checking_disabled) flags |= kFlagCd;
  uint16_t counts[3] = {};
  const std::vector<Record>* sections[] = {&reply.answers, &reply.authority, &reply.additional};
  for (size_t s = 0; s < 3 && !(flags & kFlagTc); ++s)
    for (const Record& record : *sections[s]) {
      if (!writer.record(record)) {
        if (s < 2) flags |= kFlagTc;
        break;
      }
      ++counts[s];
    }
  if (query.edns) {
    put_opt(writer.out, kOurUdpSize, query.dnssec_ok);
    ++counts[2];
  }
  set16(writer.out, 0, query.id);
  set16(writer.out, 2, flags);
  set16(writer.out, 4, 1);
  for (size_t s = 0; s < 3; ++s) set16(writer.out, 6 + 2 * s, counts[s]);
  return std::move(writer.out);
}

std::string encode_query(const Query& query, uint16_t id) {
  Writer writer(SIZE_MAX);
  writer.out.resize(kHeader);
  put_question(writer, query);
  if (query.edns) put_opt(writer.out, uint16_t(udp_limit(query)), query.dnssec_ok);
  set16(writer.out, 0, id);
  set16(writer.out, 2, uint16_t(kFlagRd | (query.checking_disabled ? kFlagCd : 0)));
  set16(writer.out, 4, 1);
  set16(writer.out, 10, query.edns);
  return std::move(writer.out);
}

// --- other servers' answers ------------------------------------------------------------------------------------------

std::optional<Answer> parse_answer(std::string_view message) {
  if (message.size() < kHeader) return std::nullopt;
  uint16_t flags = get16(message, 2);
  Answer answer{.id = get16(message, 0), .rcode = uint8_t(flags & 0xf), .truncated = (flags & kFlagTc) != 0};
  size_t at = kHeader;
  if (!(flags & kFlagQr) || get16(message, 4) != 1 || !read_name(message, at, answer.name) || at + 4 > message.size()) return std::nullopt;
  answer.type = get16(message, at);
  answer.qclass = get16(message, at + 2);
  at += 4;
  std::optional<uint32_t> least, negative;
  const size_t answers = get16(message, 6), all = answers + get16(message, 8) + get16(message, 10);
  for (size_t i = 0; i < all; ++i) {
    RawRecord raw;
    if (!read_record(message, at, raw)) return std::nullopt;
    if (raw.type == type_opt) continue;
    answer.ttl_offsets.push_back(raw.ttl_at);
    if (i < answers) {
      least = std::min(least.value_or(UINT32_MAX), raw.ttl);
      Record record{std::move(raw.name), raw.type, raw.ttl, std::string(message.substr(raw.data_at, raw.data_size))};
      if (raw.type == type_cname) {
        size_t target = raw.data_at;
        if (!read_name(message, target, record.data) || target != raw.data_at + raw.data_size) return std::nullopt;
      }
      answer.answers.push_back(std::move(record));
    } else if (raw.type == type_soa && raw.data_size >= 20) {
      negative = std::min(raw.ttl, get32(message, raw.data_at + raw.data_size - 4));
    }
  }
  answer.least_ttl = least.value_or(negative.value_or(0));
  return answer;
}

// --- data ------------------------------------------------------------------------------------------------------------

std::string srv_data(uint16_t priority, uint16_t weight, uint16_t port, std::string_view target) {
  std::string data;
  put16(data, priority);
  put16(data, weight);
  put16(data, port);
  return data.append(target);
}

std::string soa_data(std::string_view server, std::string_view mailbox, uint32_t serial, uint32_t minimum) {
  std::string data(server);
  data.append(mailbox);
  for (uint32_t value : {serial, uint32_t(7200), uint32_t(1800), uint32_t(86400), minimum}) put32(data, value);
  return data;
}

}  // namespace estiba::network::dns
