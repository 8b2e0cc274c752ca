// The memory of a json::Document: chunks that only grow, freed together. Private to json*.cpp. A server makes and drops several documents
// for each request, and chunks of their size are what malloc splits and joins at some cost: a few of one usual size stay with the thread.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

#include "model/json.h"

namespace estiba::json {

struct Document::Arena {
  struct Chunk {
    Chunk* next;
    size_t size;  // with this head
  };
  Chunk* chunks = nullptr;  // the newest first
  char* at = nullptr;
  char* end = nullptr;
  size_t next_size = 1024;

  Arena() = default;
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  char* allocate(size_t bytes, size_t align) {
    char* start = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(at) + align - 1) & ~uintptr_t(align - 1));
    if (!at || start > end || size_t(end - start) < bytes) [[unlikely]]
      return grow(bytes, align);
    at = start + bytes;
    return start;
  }
  char* grow(size_t bytes, size_t align);
  Node* node() { return new (allocate(sizeof(Node), alignof(Node))) Node; }
  /// A copy of `text` that lives as long as the arena.
  std::string_view keep(std::string_view text);
};

// Eight bytes at a time: which bytes need a look. The lowest set bit is always right (a borrow only disturbs bytes above
// the one that caused it), so counting trailing zeros finds the first such byte.
namespace swar {
inline constexpr uint64_t ones = 0x0101010101010101ull, highs = 0x8080808080808080ull;
inline uint64_t load(const char* p) {
  uint64_t word;
  memcpy(&word, p, 8);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  return word;
}
inline uint64_t equal(uint64_t word, unsigned char c) {
  const uint64_t x = word ^ (ones * c);
  return (x - ones) & ~x & highs;
}
inline uint64_t less(uint64_t word, unsigned char n) { return (word - ones * n) & ~word & highs; }
inline int first(uint64_t mask) { return __builtin_ctzll(mask) >> 3; }
}  // namespace swar

/// Length of the valid UTF-8 sequence at `p` (which has `left` bytes), or 0.
inline int utf8_length(const unsigned char* p, size_t left) {
  const unsigned char c = p[0];
  if (c < 0x80) return 1;
  const auto tail = [&](int i) { return size_t(i) < left && (p[i] & 0xc0) == 0x80; };
  if (c >= 0xc2 && c <= 0xdf) return tail(1) ? 2 : 0;
  if (c >= 0xe0 && c <= 0xef) {
    if (!tail(1) || !tail(2)) return 0;
    if (c == 0xe0 && p[1] < 0xa0) return 0;  // overlong
    if (c == 0xed && p[1] > 0x9f) return 0;  // surrogates
    return 3;
  }
  if (c >= 0xf0 && c <= 0xf4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if (c == 0xf0 && p[1] < 0x90) return 0;
    if (c == 0xf4 && p[1] > 0x8f) return 0;
    return 4;
  }
  return 0;
}

}  // namespace estiba::json
