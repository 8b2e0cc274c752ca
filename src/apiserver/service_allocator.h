// The cluster addresses and node ports of Services. What is taken is derived from the stored Services when the server
// starts and kept in memory from then on: this process is the only writer, so nothing about it needs to be stored.
#pragma once
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/result.h"
#include "model/json.h"

namespace estiba::apiserver {

class ServiceAllocator {
 public:
  /// `cidr` as "10.43.0.0/16" (IPv4). Ports are first to last, inclusive.
  static Result<ServiceAllocator> make(std::string_view cidr, uint16_t first_port, uint16_t last_port);
  ServiceAllocator(ServiceAllocator&&) noexcept;

  /// The first usable address, which Service default/kubernetes has.
  std::string first_address() const;
  std::string cidr() const { return cidr_; }

  /// A free address or port, taken from now on; Code::exhausted when there is none.
  Result<std::string> take_address();
  Result<uint16_t> take_port();
  /// The asked one: Code::invalid when it is out of range, Code::already_exists when it is taken.
  Result<void> take_address(std::string_view address);
  Result<void> take_port(uint16_t port);
  void release_address(std::string_view address);
  void release_port(uint16_t port);

  /// Marks what a stored Service holds.
  void adopt(const json::Node& service);

 private:
  ServiceAllocator() = default;
  std::optional<uint32_t> offset_of(std::string_view address) const;
  std::string address_at(uint32_t offset) const;

  std::string cidr_;
  uint32_t base_ = 0;
  uint32_t size_ = 0;  // addresses in the range, network and broadcast included
  uint16_t first_port_ = 0, last_port_ = 0;
  std::mutex mutex_;
  std::unordered_set<uint32_t> addresses_;  // offsets; guarded by mutex_
  std::unordered_set<uint16_t> ports_;      // guarded by mutex_
};

}  // namespace estiba::apiserver
