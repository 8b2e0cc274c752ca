// The wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding/): what our messages need of it.
#pragma once
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace estiba::wire {

enum class Type : uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

inline void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += char(value | 0x80);
  out += char(value);
}
inline void put_tag(std::string& out, uint32_t number, Type type) { put_varint(out, uint64_t(number) << 3 | uint8_t(type)); }
inline void put_int(std::string& out, uint32_t number, int64_t value) {
  put_tag(out, number, Type::varint);
  put_varint(out, uint64_t(value));
}
inline void put_bytes(std::string& out, uint32_t number, std::string_view value) {
  put_tag(out, number, Type::bytes);
  put_varint(out, value.size());
  out += value;
}
/// Begins a message inside of `out`; what follows is its content, until end_message() is given what this returned.
inline size_t begin_message(std::string& out, uint32_t number) {
  put_tag(out, number, Type::bytes);
  out += char(0);
  return out.size();
}
inline void end_message(std::string& out, size_t begin) {
  uint64_t size = out.size() - begin;
  if (size >= 0x80) {  // longer lengths need more room than was left
    std::string length;
    put_varint(length, size);
    out.replace(begin - 1, 1, length);
  } else {
    out[begin - 1] = char(size);
  }
}
inline void put_double(std::string& out, uint32_t number, double value) {
  put_tag(out, number, Type::fixed64);
  uint64_t bits;
  memcpy(&bits, &value, 8);
  for (int i = 0; i < 8; ++i) out += char(bits >> (8 * i));
}

/// One field: its number, and its value as `integer` or `bytes`.
struct Field {
  uint32_t number = 0;
  Type type = Type::varint;
  uint64_t integer = 0;
  std::string_view bytes;

  double as_double() const {
    double out;
    memcpy(&out, &integer, 8);
    return out;
  }
};

/// Reads the fields of a message one by one.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool done() const { return rest_.empty(); }
  std::optional<uint64_t> varint() {
    uint64_t out = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto c = uint8_t(rest_[0]);
      rest_.remove_prefix(1);
      out |= uint64_t(c & 0x7f) << shift;
      if (c < 0x80) return out;
    }
    return std::nullopt;
  }
  /// nullopt when the bytes are cut off or use a wire type that is none.
  std::optional<Field> next() {
    const auto tag = varint();
    if (!tag || *tag >> 3 == 0 || *tag >> 3 > 0x1fffffff) return std::nullopt;
    Field out{uint32_t(*tag >> 3), Type(*tag & 7)};
    switch (out.type) {
      case Type::varint: {
        const auto value = varint();
        if (!value) return std::nullopt;
        out.integer = *value;
        return out;
      }
      case Type::bytes: {
        const auto size = varint();
        if (!size || *size > rest_.size()) return std::nullopt;
        out.bytes = rest_.substr(0, *size);
        rest_.remove_prefix(*size);
        return out;
      }
      case Type::fixed64:
      case Type::fixed32: {
        const size_t size = out.type == Type::fixed64 ? 8 : 4;
        if (rest_.size() < size) return std::nullopt;
        for (size_t i = 0; i < size; ++i) out.integer |= uint64_t(uint8_t(rest_[i])) << (8 * i);
        rest_.remove_prefix(size);
        return out;
      }
    }
    return std::nullopt;
  }

 private:
  std::string_view rest_;
};

}  // namespace estiba::wire
