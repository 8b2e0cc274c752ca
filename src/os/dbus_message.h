// Messages of D-Bus, as bytes (D-Bus Specification, "Type System" and "Message Protocol"): what a client of system services needs of it.
// Written in little-endian order, read in both.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::os {

/// Writes values one after the other, each at the boundary of its size.
class DbusWriter {
 public:
  DbusWriter& u8(uint8_t value);
  DbusWriter& u32(uint32_t value);
  DbusWriter& i32(int32_t value) { return u32(uint32_t(value)); }
  DbusWriter& u64(uint64_t value);
  DbusWriter& boolean(bool value) { return u32(value); }
  DbusWriter& string(std::string_view value);  ///< an object's path, too
  DbusWriter& signature(std::string_view value);
  DbusWriter& align(size_t boundary);
  size_t size() const { return out_.size(); }
  void set_u32(size_t at, uint32_t value);
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// Reads them. What is not there, or no such value, makes it fail for good; values are zeros and empty then.
class DbusReader {
 public:
  explicit DbusReader(std::string_view bytes, bool swapped = false) : bytes_(bytes), swapped_(swapped) {}
  uint8_t u8();
  uint32_t u32();
  uint64_t u64();
  bool boolean() { return u32() != 0; }
  std::string_view string();
  std::string_view signature();
  void align(size_t boundary);
  size_t at() const { return at_; }
  bool failed() const { return failed_; }

 private:
  std::string_view take(size_t size);
  std::string_view bytes_;
  size_t at_ = 0;
  bool swapped_, failed_ = false;
};

struct DbusMessage {
  enum class Type : uint8_t { call = 1, reply = 2, error = 3, signal = 4 };
  Type type = Type::call;
  uint32_t serial = 0, reply_to = 0;
  std::string path, interface, member, error, destination, sender, signature;
  uint32_t descriptors = 0;  ///< how many come with it
  std::string body;
  bool swapped = false;  ///< the body's byte order is not the machine's

  DbusReader values() const { return DbusReader(body, swapped); }
};

std::string print(const DbusMessage& message);
/// How long the message is that begins with these bytes; nullopt while there are too few to tell (16 will do). Lengths beyond the
/// protocol's 128 MiB are an error, as are other versions.
Result<std::optional<size_t>> dbus_message_size(std::string_view begin);
Result<DbusMessage> parse_dbus_message(std::string_view bytes);

}  // namespace estiba::os
