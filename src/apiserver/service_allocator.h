// The cluster addresses and node ports of Services. What is taken stands in the store (reservations.h), in the same
// transaction as the Service that holds it; here a free one is chosen and an asked one is looked at. Two creations that choose
// the same meet in the store, and one of them chooses again.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace estiba::apiserver {

/// A range of IPv4 addresses: network address and number of addresses, network and broadcast included.
struct AddressRange {
  std::string cidr;
  uint32_t base = 0, size = 0;

  /// "10.43.0.0/16", from /8 to /30. Code::invalid says what is wrong.
  static Result<AddressRange> parse(std::string_view cidr);
  std::string at(uint32_t offset) const;
  bool contains(uint32_t address) const { return address - base < size; }
};

class ServiceAllocator {
 public:
  /// `cidr` is the range of the default ServiceCIDR. Ports are first to last, inclusive.
  static Result<ServiceAllocator> make(store::Store& store, std::string_view cidr, uint16_t first_port, uint16_t last_port);

  /// The first usable address, which Service default/kubernetes has.
  std::string first_address() const { return configured_.at(1); }
  const std::string& cidr() const { return configured_.cidr; }

  /// A free address of the ready ServiceCIDRs, from the upper part of a range while one is free there (KEP-3070: the lower
  /// part is left to those who ask for an address); Code::exhausted when there is none.
  Result<std::string> free_address() const;
  /// A free port, which is none of `besides`, likewise.
  Result<uint16_t> free_port(const std::set<uint16_t>& besides) const;
  /// Whether an asked one may be had: Code::invalid when it is out of range, Code::already_exists when it is taken.
  Result<void> check_address(std::string_view address) const;
  Result<void> check_port(uint16_t port) const;
  /// Whether some ServiceCIDR has the address, ready or not.
  bool in_range(std::string_view address) const;

 private:
  struct Ranges {
    std::vector<store::EntryPtr> objects;  ///< the ServiceCIDRs they were read from
    std::vector<AddressRange> ready, all;
  };
  struct Cache {
    std::mutex mutex;
    std::shared_ptr<const Ranges> newest;  // guarded by mutex
  };
  ServiceAllocator(store::Store& store, AddressRange configured, uint16_t first_port, uint16_t last_port);
  Result<std::shared_ptr<const Ranges>> ranges() const;

  store::Store* store_;
  AddressRange configured_;
  uint16_t first_port_, last_port_;
  std::unique_ptr<Cache> cache_;
};

}  // namespace estiba::apiserver
