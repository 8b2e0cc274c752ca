#include "os/dbus_message.h"

#include <bit>
#include <cstring>

namespace estiba::os {

namespace {

static_assert(std::endian::native == std::endian::little);
constexpr size_t most_bytes = 128 << 20, fixed_header = 16;
constexpr uint8_t protocol_version = 1;

enum Field : uint8_t {
  path = 1,
  interface = 2,
  member = 3,
  error_name = 4,
  reply_serial = 5,
  destination = 6,
  sender = 7,
  signature = 8,
  unix_fds = 9
};

size_t up(size_t size, size_t boundary) { return (size + boundary - 1) / boundary * boundary; }

void put_text(DbusWriter& out, Field field, std::string_view type, std::string_view value) {
  if (value.empty()) return;
  out.align(8).u8(field).signature(type);
  if (type == "g") out.signature(value);
  else out.string(value);
}

// Of the fixed part: byte order, then after type, flags and version the body's length, the serial and the fields' length.
struct Lengths {
  bool swapped;
  uint32_t body, serial, fields;
};

Result<Lengths> read_lengths(std::string_view begin) {
  if (begin[0] != 'l' && begin[0] != 'B') return fail(Code::malformed, "a D-Bus message begins with an unknown byte order");
  if (uint8_t(begin[3]) != protocol_version) return fail(Code::unsupported, "a D-Bus message is of another version of the protocol");
  DbusReader reader(begin.substr(4, 12), begin[0] == 'B');
  Lengths out{.swapped = begin[0] == 'B', .body = reader.u32(), .serial = reader.u32(), .fields = reader.u32()};
  if (out.fields > most_bytes || out.body > most_bytes) return fail(Code::malformed, "a D-Bus message is longer than the protocol allows");
  return out;
}

bool read_field(DbusReader& reader, DbusMessage& out) {
  reader.align(8);
  const uint8_t field = reader.u8();
  const std::string_view type = reader.signature();
  if (type == "u") {
    const uint32_t value = reader.u32();
    if (field == reply_serial) out.reply_to = value;
    if (field == unix_fds) out.descriptors = value;
  } else if (type == "s" || type == "o" || type == "g") {
    const std::string_view value = type == "g" ? reader.signature() : reader.string();
    for (auto [name, member] : {std::pair(path, &DbusMessage::path), std::pair(interface, &DbusMessage::interface),
                                std::pair(Field::member, &DbusMessage::member), std::pair(error_name, &DbusMessage::error),
                                std::pair(destination, &DbusMessage::destination), std::pair(sender, &DbusMessage::sender),
                                std::pair(signature, &DbusMessage::signature)})
      if (field == name) out.*member = value;
  } else {
    return false;
  }
  return !reader.failed();
}

}  // namespace

DbusWriter& DbusWriter::align(size_t boundary) {
  out_.resize(up(out_.size(), boundary), '\0');
  return *this;
}

DbusWriter& DbusWriter::u8(uint8_t value) {
  out_ += char(value);
  return *this;
}

DbusWriter& DbusWriter::u32(uint32_t value) {
  align(4);
  out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  return *this;
}

DbusWriter& DbusWriter::u64(uint64_t value) {
  align(8);
  out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  return *this;
}

DbusWriter& DbusWriter::string(std::string_view value) {
  u32(uint32_t(value.size()));
  out_.append(value).push_back('\0');
  return *this;
}

DbusWriter& DbusWriter::signature(std::string_view value) {
  u8(uint8_t(value.size()));
  out_.append(value).push_back('\0');
  return *this;
}

void DbusWriter::set_u32(size_t at, uint32_t value) { std::memcpy(out_.data() + at, &value, sizeof value); }

void DbusReader::align(size_t boundary) { (void)take(up(at_, boundary) - at_); }

std::string_view DbusReader::take(size_t size) {
  if (failed_ || size > bytes_.size() - at_) {
    failed_ = true;
    return {};
  }
  at_ += size;
  return bytes_.substr(at_ - size, size);
}

uint8_t DbusReader::u8() {
  const auto bytes = take(1);
  return bytes.empty() ? 0 : uint8_t(bytes[0]);
}

uint32_t DbusReader::u32() {
  align(4);
  const auto bytes = take(4);
  uint32_t value = 0;
  if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof value);
  return swapped_ ? std::byteswap(value) : value;
}

uint64_t DbusReader::u64() {
  align(8);
  const auto bytes = take(8);
  uint64_t value = 0;
  if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof value);
  return swapped_ ? std::byteswap(value) : value;
}

std::string_view DbusReader::string() {
  const uint32_t size = u32();
  const std::string_view value = take(size);
  if (u8() != 0) failed_ = true;
  return failed_ ? std::string_view{} : value;
}

std::string_view DbusReader::signature() {
  const std::string_view value = take(u8());
  if (u8() != 0) failed_ = true;
  return failed_ ? std::string_view{} : value;
}

std::string print(const DbusMessage& message) {
  DbusWriter out;
  out.u8('l').u8(uint8_t(message.type)).u8(0).u8(protocol_version).u32(uint32_t(message.body.size())).u32(message.serial).u32(0);
  put_text(out, path, "o", message.path);
  put_text(out, interface, "s", message.interface);
  put_text(out, member, "s", message.member);
  put_text(out, error_name, "s", message.error);
  put_text(out, destination, "s", message.destination);
  put_text(out, sender, "s", message.sender);
  put_text(out, signature, "g", message.signature);
  for (const auto& [field, value] : {std::pair(reply_serial, message.reply_to), std::pair(unix_fds, message.descriptors)})
    if (value) out.align(8).u8(field).signature("u").u32(value);
  out.set_u32(12, uint32_t(out.size() - fixed_header));
  return out.align(8).take() + message.body;
}

Result<std::optional<size_t>> dbus_message_size(std::string_view begin) {
  if (begin.size() < fixed_header) return std::optional<size_t>();
  const Lengths lengths = TRY(read_lengths(begin));
  return up(fixed_header + lengths.fields, 8) + lengths.body;
}

Result<DbusMessage> parse_dbus_message(std::string_view bytes) {
  const auto size = TRY(dbus_message_size(bytes));
  if (!size || bytes.size() != *size) return fail(Code::malformed, "a D-Bus message is cut off");
  const Lengths lengths = TRY(read_lengths(bytes));
  DbusMessage out{.type = DbusMessage::Type(bytes[1]), .serial = lengths.serial, .swapped = lengths.swapped};
  DbusReader reader(bytes.substr(0, fixed_header + lengths.fields), lengths.swapped);
  for (size_t i = 0; i < fixed_header / 4; ++i) (void)reader.u32();
  while (reader.at() < fixed_header + lengths.fields)
    if (!read_field(reader, out)) return fail(Code::malformed, "a D-Bus message has a header that is none");
  out.body = bytes.substr(bytes.size() - lengths.body);
  return out;
}

}  // namespace estiba::os
