#include "network/dns/answers.h"

#include <cstring>
#include <random>

namespace estiba::network::dns {

namespace {

constexpr size_t header_size = 12, opt_size = 11;

uint16_t get16(std::string_view bytes, size_t at) { return uint16_t(uint8_t(bytes[at]) << 8 | uint8_t(bytes[at + 1])); }
// Lengths of labels are below 64 and so no letters.
unsigned char lower(char c) { return static_cast<unsigned char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c); }

// Nobody outside can know which questions share a slot.
const uint64_t seed = std::random_device{}() | uint64_t(std::random_device{}()) << 32;

// Names without case; type and class to the bit.
bool same_question(std::string_view a, std::string_view b) {
  const size_t name = b.size() - 4;
  for (size_t i = 0; i < name; ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return a.substr(name) == b.substr(name);
}

}  // namespace

std::optional<Answers::Key> Answers::key_of(std::string_view message) {
  // One question, no answers, no authority; no bits but RD, AD and CD.
  if (message.size() < header_size + 5 || (get16(message, 2) & ~0x0130) != 0 || get16(message, 4) != 1 || get16(message, 6) != 0 ||
      get16(message, 8) != 0)
    return std::nullopt;
  Key key;
  uint64_t hash = seed;
  size_t at = header_size;
  for (;;) {
    const size_t length = uint8_t(message[at]);
    if (length == 0) break;
    if (length > 63 || at + 1 + length + 5 > message.size()) return std::nullopt;
    for (size_t i = 0; i <= length; ++i) hash = (hash ^ lower(message[at + i])) * 0x100000001b3;
    at += 1 + length;
  }
  const size_t end = at + 5;
  if (end - header_size > 255 + 4 || get16(message, at + 3) != class_in) return std::nullopt;
  hash = (hash ^ get16(message, at + 1)) * 0x100000001b3;
  Query query;
  if (message.size() == end + opt_size && get16(message, 10) == 1) {
    // The root's name, OPT, what the client takes, no extended code, version 0, no options.
    if (message[end] != 0 || get16(message, end + 1) != type_opt || get16(message, end + 5) != 0 || get16(message, end + 9) != 0)
      return std::nullopt;
    query.edns = true;
    query.udp_size = get16(message, end + 3);
    query.dnssec_ok = get16(message, end + 7) & 0x8000;
  } else if (message.size() != end || get16(message, 10) != 0) {
    return std::nullopt;
  }
  key.question = message.substr(header_size, end - header_size);
  key.limit = uint16_t(udp_limit(query));
  key.variant = uint8_t((message[2] & 1) | (uint8_t(message[3]) & 0x10) | (query.edns ? 2 : 0) | (query.dnssec_ok ? 4 : 0));
  key.hash = hash ^ hash >> 29;
  return key;
}

size_t Answers::find(const Key& key, std::string_view message, std::span<char> to) const {
  if (table_.empty()) return 0;
  const Slot& slot = table_[key.hash % slots];
  if (slot.generation != generation_ || slot.hash != key.hash || slot.limit != key.limit || slot.variant != key.variant) return 0;
  if (slot.answer.size() > to.size() || slot.answer.size() < header_size + key.question.size() ||
      !same_question(std::string_view(slot.answer).substr(header_size, key.question.size()), key.question))
    return 0;
  std::memcpy(to.data(), slot.answer.data(), slot.answer.size());
  std::memcpy(to.data(), message.data(), 2);
  std::memcpy(to.data() + header_size, key.question.data(), key.question.size());
  return slot.answer.size();
}

void Answers::put(const Key& key, std::string_view answer) {
  if (answer.size() > most_bytes || answer.size() < header_size + key.question.size()) return;
  if (table_.empty()) table_.resize(slots);
  Slot& slot = table_[key.hash % slots];
  slot.generation = generation_;
  slot.hash = key.hash;
  slot.limit = key.limit;
  slot.variant = key.variant;
  slot.answer = answer;
}

}  // namespace estiba::network::dns
