// The addresses that Services of type LoadBalancer get, as `--load-balancer-pool` names them: "192.0.2.240-192.0.2.250", "192.0.2.64/28",
// "2001:db8::/120" or a single address.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/function.h"

namespace estiba::controllers {

class LoadBalancerPool {
 public:
  /// Each text may hold several parts with commas between them. Code::invalid names the part that is malformed, is backwards or overlaps
  /// another. Of an IPv6 prefix the first address is left out: routers of a link answer for it (RFC 4291, section 2.6.1).
  static Result<LoadBalancerPool> parse(const std::vector<std::string>& texts);

  bool empty() const { return parts_.empty(); }
  bool has_family(bool v6) const;
  bool contains(const Address& address) const;
  /// The first part that shares an address with the range, as it was written.
  std::optional<std::string> overlapping(const Prefix& range) const;
  /// The least address of a family that is not `taken`.
  std::optional<Address> first_free(bool v6, UniqueFunction<bool(const Address&)> taken) const;
  /// The parts as they were written, with commas.
  std::string text() const;

 private:
  struct Part {
    Address first, last;
    std::string text;
  };
  static Result<Part> parse_part(const std::string& text);
  std::vector<Part> parts_;
};

}  // namespace estiba::controllers
