#include "controllers/load_balancer_pool.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::controllers {

Result<LoadBalancerPool::Part> LoadBalancerPool::parse_part(const std::string& text) {
  const auto wrong = [&](const std::string& why) {
    return fail(Code::invalid,
                quoted(text) + " is " + why + ": name an address, a range (192.0.2.240-192.0.2.250) or a prefix (2001:db8::/120)");
  };
  if (text.contains('/')) {
    auto prefix = Prefix::parse(text);
    if (!prefix) return wrong("no prefix (" + prefix.error().message + ")");
    Address first = prefix->address;
    if (first.v6 && prefix->length < 128) first = Address::from_value(first.value() + 1, true);
    return Part{first, prefix->last(), text};
  }
  const size_t dash = text.find('-');
  auto first = Address::parse(trim(std::string_view(text).substr(0, dash)));
  auto last = dash == std::string::npos ? first : Address::parse(trim(std::string_view(text).substr(dash + 1)));
  if (!first || !last) return wrong("no address (" + (first ? last : first).error().message + ")");
  if (first->v6 != last->v6) return wrong("a range between two families of addresses");
  if (*last < *first) return wrong("a range that ends before it begins");
  return Part{*first, *last, text};
}

Result<LoadBalancerPool> LoadBalancerPool::parse(const std::vector<std::string>& texts) {
  LoadBalancerPool pool;
  for (const std::string& text : texts)
    for (const std::string_view piece : split(text, ',')) {
      Part part = TRY(parse_part(std::string(trim(piece))));
      for (const Part& other : pool.parts_)
        if (part.first.v6 == other.first.v6 && part.first <= other.last && other.first <= part.last)
          return fail(Code::invalid, part.text + " and " + other.text + " overlap");
      pool.parts_.push_back(std::move(part));
    }
  return pool;
}

bool LoadBalancerPool::has_family(bool v6) const {
  return std::ranges::any_of(parts_, [&](const Part& part) { return part.first.v6 == v6; });
}

bool LoadBalancerPool::contains(const Address& address) const {
  return std::ranges::any_of(parts_, [&](const Part& part) { return part.first <= address && address <= part.last; });
}

std::optional<std::string> LoadBalancerPool::overlapping(const Prefix& range) const {
  for (const Part& part : parts_)
    if (part.first.v6 == range.address.v6 && part.first <= range.last() && range.address <= part.last) return part.text;
  return {};
}

std::optional<Address> LoadBalancerPool::first_free(bool v6, UniqueFunction<bool(const Address&)> taken) const {
  for (const Part& part : parts_) {
    if (part.first.v6 != v6) continue;
    for (AddressNumber number = part.first.value();; ++number) {
      const Address address = Address::from_value(number, v6);
      if (!taken(address)) return address;
      if (address == part.last) break;
    }
  }
  return {};
}

std::string LoadBalancerPool::text() const {
  std::string all;
  for (const Part& part : parts_) all += (all.empty() ? "" : ",") + part.text;
  return all;
}

}  // namespace estiba::controllers
