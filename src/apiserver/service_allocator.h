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

#include "base/address.h"
#include "base/result.h"
#include "store/store.h"

namespace estiba::apiserver {

/// Whether Services may have their addresses from a range: IPv4 from /8 to /30, IPv6 from /64 to /126. Code::invalid says what is wrong.
Result<Prefix> parse_service_range(std::string_view cidr);

class ServiceAllocator {
 public:
  /// `cidrs` are those of the default ServiceCIDR: one, or one of each family with a comma between them. Ports are first to last,
  /// inclusive.
  static Result<ServiceAllocator> make(store::Store& store, std::string_view cidrs, uint16_t first_port, uint16_t last_port);

  /// The first usable address of the primary family, which Service default/kubernetes has.
  std::string first_address() const { return configured_[0].nth(1)->text(); }
  /// One, or one of each family.
  const std::vector<Prefix>& cidrs() const { return configured_; }
  /// The family of a Service that asks for none.
  std::string_view default_family() const { return family_name(configured_[0].address.v6); }
  bool has_family(std::string_view family) const { return range_of_family(configured_, family == "IPv6") != nullptr; }

  /// A free address of a family of the ready ServiceCIDRs, from the upper part of a range while one is free there (KEP-3070: the lower
  /// part is left to those who ask for an address); Code::exhausted when there is none.
  Result<std::string> free_address(std::string_view family) const;
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
    std::vector<Prefix> ready, all;
  };
  struct Cache {
    std::mutex mutex;
    std::shared_ptr<const Ranges> newest;  // guarded by mutex
  };
  ServiceAllocator(store::Store& store, std::vector<Prefix> configured, uint16_t first_port, uint16_t last_port);
  Result<std::shared_ptr<const Ranges>> ranges() const;

  store::Store* store_;
  std::vector<Prefix> configured_;
  uint16_t first_port_, last_port_;
  std::unique_ptr<Cache> cache_;
};

}  // namespace estiba::apiserver
