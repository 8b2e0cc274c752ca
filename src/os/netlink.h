// netlink(7): messages built one after another in a buffer, sent in one call, answered one by one. The families stand on
// it: rtnl.h (links, addresses, routes), nft.h (nf_tables), conntrack.h.
#pragma once
#include <linux/netlink.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/function.h"
#include "base/result.h"

namespace estiba::os::netlink {

/// Several requests in one buffer. Each has a name, which its error will carry, and may tolerate one errno.
class Batch {
 public:
  /// Starts a request; NLM_F_REQUEST is set. Attributes follow until the next begin().
  void begin(uint16_t type, uint16_t flags, std::string what);
  /// An answer of this errno to the current request counts as success (EEXIST for "add", ENOENT for "delete").
  void tolerate(int error) { requests_.back().tolerated = error; }

  /// The family's fixed header; directly after begin().
  template <class T>
  void header(const T& value) {
    append(&value, sizeof value);
  }
  void put(uint16_t attribute, const void* data, size_t size);
  void put(uint16_t attribute, std::string_view bytes) { put(attribute, bytes.data(), bytes.size()); }
  /// With the closing zero byte.
  void put_name(uint16_t attribute, std::string_view text);
  void put_u8(uint16_t attribute, uint8_t value) { put(attribute, &value, 1); }
  void put_u16(uint16_t attribute, uint16_t value) { put(attribute, &value, 2); }
  void put_u32(uint16_t attribute, uint32_t value) { put(attribute, &value, 4); }
  /// Network byte order, as netfilter wants its numbers.
  void put_be32(uint16_t attribute, uint32_t value) { put_u32(attribute, __builtin_bswap32(value)); }
  void put_be64(uint16_t attribute, uint64_t value);
  void put_flag(uint16_t attribute) { put(attribute, nullptr, 0); }

  /// Opens a nested attribute; close() with what it returned. Its length is 16 bits: see nested_size().
  size_t open(uint16_t attribute);
  void close(size_t nest);
  size_t nested_size(size_t nest) const { return bytes_.size() - nest; }

  bool empty() const { return requests_.empty(); }
  size_t size() const { return bytes_.size(); }
  size_t count() const { return requests_.size(); }
  void clear();

 private:
  friend class Socket;
  struct Request {
    std::string what;
    size_t at;
    int tolerated = 0;
  };
  void append(const void* data, size_t size);

  std::string bytes_;
  std::vector<Request> requests_;
};

/// The attributes of a message or of a nested attribute, by number; unknown ones are skipped, broken lengths end the walk.
class Attributes {
 public:
  explicit Attributes(std::string_view bytes) : bytes_(bytes) {}
  /// The payload of the first attribute of this number, or nullopt-like empty view with data() == nullptr.
  std::string_view find(uint16_t attribute) const;
  Attributes nested(uint16_t attribute) const { return Attributes(find(attribute)); }
  uint32_t u32(uint16_t attribute, uint32_t otherwise = 0) const;
  uint32_t be32(uint16_t attribute, uint32_t otherwise = 0) const;
  uint16_t be16(uint16_t attribute, uint16_t otherwise = 0) const;
  uint8_t u8(uint16_t attribute, uint8_t otherwise = 0) const;
  /// Without the closing zero byte.
  std::string_view name(uint16_t attribute) const;
  /// Calls `each` with every attribute's number (without flags) and payload.
  void each(UniqueFunction<void(uint16_t, std::string_view)> each) const;

 private:
  std::string_view bytes_;
};

/// One answer to a dump: its type and what follows the netlink header.
struct Message {
  uint16_t type;
  std::string_view body;

  /// The family's fixed header; false when the message is shorter.
  template <class T>
  bool read(T& header) const {
    if (body.size() < sizeof header) return false;
    __builtin_memcpy(&header, body.data(), sizeof header);
    return true;
  }
  Attributes attributes(size_t header_size) const;
};

/// A netlink socket in the network namespace where it was opened, wherever the thread goes later. Blocking; one thread.
class Socket {
 public:
  /// `family` is NETLINK_ROUTE or NETLINK_NETFILTER.
  static Result<Socket> open(int family);
  /// The number under which the kernel tells others of what this socket has changed.
  uint32_t port() const { return port_; }

  /// Sends every request in one call and reads the answer to each. All are tried, whatever became of those before; the
  /// first error that is not tolerated is returned, with the request's name and what the kernel said beside the errno.
  Result<void> run(Batch& batch);
  /// The same for a nf_tables transaction (NFNL_MSG_BATCH_BEGIN … END): all or nothing.
  Result<void> commit(Batch& batch);
  /// Sends one dump request and calls `each` for every answer.
  Result<void> dump(Batch& request, UniqueFunction<void(const Message&)> each);
  /// Sends one request that is answered by one message.
  Result<void> get(Batch& request, UniqueFunction<void(const Message&)> answer);

 private:
  Result<void> send(Batch& batch);
  Result<size_t> receive(int flags);

  Fd fd_;
  uint32_t port_ = 0;
  uint32_t sequence_ = 0;
  std::string buffer_;
};

/// A non-blocking socket that becomes readable when the kernel tells of a change (netlink(7), NETLINK_ADD_MEMBERSHIP): `group` is an
/// RTNLGRP_* or NFNLGRP_* number.
Result<Fd> watch(int family, unsigned group);
/// Throws away what has come.
void drain(int fd);
/// Calls `each` for every message that has come, with the port of the socket that made the change. False when more came than there was room
/// for, so that some are missing.
bool take(int fd, UniqueFunction<void(const Message&, uint32_t port)> each);

}  // namespace estiba::os::netlink
