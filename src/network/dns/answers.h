// Answers that were encoded once, by question: what a busy resolver asks again and again is looked up, given the question's id and
// spelling, and sent, without taking the message apart and without allocating. Bounded: a question has one slot, which the next one takes
// over.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "network/dns/message.h"

namespace estiba::network::dns {

class Answers {
 public:
  /// A question as its bytes say, found without parsing the message.
  struct Key {
    uint64_t hash = 0;
    std::string_view question;  ///< name, type and class, in the client's spelling; within the message
    uint16_t limit = 0;         ///< of the answer by UDP
    uint8_t variant = 0;        ///< the bits of the question that its answer depends on
  };
  /// nullopt: a message that is not the usual one question of class IN, with at most an OPT record after it. It may be valid all the same.
  static std::optional<Key> key_of(std::string_view message);

  /// Writes the answer to `message` into `to`; its length, or 0 when it is not known.
  size_t find(const Key& key, std::string_view message, std::span<char> to) const;
  void put(const Key& key, std::string_view answer);
  /// The names have changed.
  void forget() { ++generation_; }

 private:
  struct Slot {
    uint64_t generation = 0, hash = 0;
    uint16_t limit = 0;
    uint8_t variant = 0;
    std::string answer;  // with its question in some spelling
  };
  static constexpr size_t slots = 4096, most_bytes = kOurUdpSize;
  std::vector<Slot> table_;  // empty until the first put
  uint64_t generation_ = 1;
};

}  // namespace estiba::network::dns
