#include "apiserver/service_allocator.h"

#include <optional>

#include "apiserver/edit.h"
#include "apiserver/kept.h"
#include "apiserver/reservations.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

uint64_t random_below(uint64_t limit) {
  uint64_t value;
  std::string bytes = random_bytes(sizeof value);
  memcpy(&value, bytes.data(), sizeof value);
  return value % limit;
}

// How much of a range's lower end is for those who ask (KEP-3070): a part of it within bounds, nothing of a small one.
uint64_t lower_band(uint64_t size, uint64_t part, uint64_t least, uint64_t most) {
  return size <= least ? 0 : std::clamp(size / part, least, most);
}

// The first of first … last that is free, from a random one on, but of the band at its lower end only when no other is. However many there
// are, no more are looked at than are taken.
template <class Free>
std::optional<uint64_t> choose(uint64_t first, uint64_t band, uint64_t last, Free&& is_free) {
  const auto search = [&](uint64_t begin, uint64_t end) -> std::optional<uint64_t> {
    if (begin > end) return std::nullopt;
    const uint64_t count = end - begin + 1, start = random_below(count);
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t number = begin + (start + i) % count;
      if (is_free(number)) return number;
    }
    return std::nullopt;
  };
  const uint64_t middle = std::min(first + band, last);
  auto found = search(middle, last);
  return found || middle == first ? found : search(first, middle - 1);
}

// A ServiceCIDR without the condition counts as ready: nobody may have looked at it yet.
bool is_ready(const json::Node& object) {
  if (!object.string_at("metadata", "deletionTimestamp").empty()) return false;
  const json::Node* conditions = object.at("status", "conditions");
  if (!present(conditions)) return true;
  for (const json::Node& condition : *conditions) {
    if (condition.string_at("type") == "Ready") return condition.string_at("status") == "True";
  }
  return true;
}

const std::string& ranges_prefix() {
  static const std::string prefix = prefix_of(*model::schema::find_resource("networking.k8s.io", "v1", "servicecidrs"));
  return prefix;
}

}  // namespace

Result<Prefix> parse_service_range(std::string_view cidr) {
  const auto range = Prefix::parse_loose(cidr);
  if (!range) return fail(Code::invalid, "service CIDR " + quoted(cidr) + ": must be a range like 10.43.0.0/16 or fd00:43::/112");
  const bool v6 = range->address.v6;
  if (range->length < (v6 ? 64 : 8) || range->length > (v6 ? 126 : 30))
    return fail(Code::invalid, "service CIDR " + quoted(cidr) + ": must be an " + std::string(family_name(v6)) + " range from " +
                                   (v6 ? "/64 to /126, like fd00:43::/112" : "/8 to /30, like 10.43.0.0/16"));
  return *range;
}

// The greatest number in a range that a Service may have: IPv6 knows no broadcast address.
static uint64_t last_number(const Prefix& range) {
  const uint64_t last = ~uint64_t(0) >> (64 - range.host_bits());
  return range.address.v6 ? last : last - 1;
}

ServiceAllocator::ServiceAllocator(store::Store& store, std::vector<Prefix> configured, uint16_t first_port, uint16_t last_port)
    : store_(&store),
      configured_(std::move(configured)),
      first_port_(first_port),
      last_port_(last_port),
      cache_(std::make_unique<Cache>()) {}

Result<ServiceAllocator> ServiceAllocator::make(store::Store& store, std::string_view cidrs, uint16_t first_port, uint16_t last_port) {
  std::vector<Prefix> configured;
  for (std::string_view cidr : split(cidrs, ',')) configured.push_back(TRY(parse_service_range(trim(cidr))));
  if (configured.size() > 2 || (configured.size() == 2 && configured[0].address.v6 == configured[1].address.v6))
    return fail(Code::invalid, "service CIDR " + quoted(cidrs) + ": must be one range, or one of each family with a comma between them");
  return ServiceAllocator(store, std::move(configured), first_port, last_port);
}

// The ServiceCIDRs are few and hardly ever change: what was read stays while the very same objects are stored.
Result<std::shared_ptr<const ServiceAllocator::Ranges>> ServiceAllocator::ranges() const {
  auto objects = TRY(store_->list(ranges_prefix())).entries;
  {
    std::lock_guard lock(cache_->mutex);
    if (cache_->newest && cache_->newest->objects == objects) return cache_->newest;
  }
  auto made = std::make_shared<Ranges>();
  for (const store::EntryPtr& entry : objects) {
    const json::Document doc = TRY_AS("stored object " + entry->key, json::Document::parse(entry->value));
    const json::Node* networks = doc.root().at("spec", "cidrs");
    if (!present(networks)) continue;
    for (const json::Node& network : *networks) {
      auto range = parse_service_range(network.as_string());
      if (!range || !has_family(family_name(range->address.v6))) continue;  // this cluster has none of that family
      if (is_ready(doc.root())) made->ready.push_back(*range);
      made->all.push_back(std::move(*range));
    }
  }
  if (objects.empty()) made->ready = made->all = configured_;
  made->objects = std::move(objects);
  std::lock_guard lock(cache_->mutex);
  cache_->newest = made;
  return made;
}

Result<std::string> ServiceAllocator::free_address(std::string_view family) const {
  const bool v6 = family == "IPv6";
  auto known = TRY(ranges());
  bool ready = false;
  const Prefix* own = range_of_family(configured_, v6);
  for (const Prefix& range : known->ready) {
    if (range.address.v6 != v6) continue;
    ready = true;
    const auto is_free = [&](uint64_t offset) {
      const Address address = *range.nth(offset);
      // For default/kubernetes and the cluster's DNS.
      const bool kept = own && own->contains(address) && (own->index_of(address) == 1 || own->index_of(address) == 10);
      return !kept && !store_->get(address_key(address.text()));
    };
    const uint64_t last = last_number(range), size = v6 ? last : last + 2;
    if (auto offset = choose(1, lower_band(size, 16, 16, 256), last, is_free)) return range.nth(*offset)->text();
  }
  return fail(Code::exhausted,
              ready ? "range is full: delete Services or add a ServiceCIDR" : "allocator not ready: no ServiceCIDR is ready");
}

Result<void> ServiceAllocator::check_address(std::string_view address) const {
  auto known = TRY(ranges());
  const auto asked = Address::parse(address);
  const auto found = std::ranges::find_if(known->ready, [&](const Prefix& range) { return asked && range.contains(*asked); });
  if (found == known->ready.end()) return fail(Code::invalid, "the provided network does not match the current range");
  if (const AddressNumber number = found->index_of(*asked); number == 0 || number > last_number(*found))
    return fail(Code::invalid,
                "the provided IP (" + std::string(address) + ") is not in the valid range. The range of valid IPs is " + found->text());
  if (store_->get(address_key(asked->text()))) return fail(Code::already_exists, "provided IP is already allocated");
  return {};
}

bool ServiceAllocator::in_range(std::string_view address) const {
  const auto known = ranges();
  const auto asked = Address::parse(address);
  if (!known || !asked) return false;
  return std::ranges::any_of((*known)->all, [&](const Prefix& range) { return range.contains(*asked); });
}

Result<uint16_t> ServiceAllocator::free_port(const std::set<uint16_t>& besides) const {
  const auto is_free = [&](uint64_t number) {
    const auto port = static_cast<uint16_t>(number);
    return !besides.contains(port) && !store_->get(port_key(port));
  };
  const uint64_t count = last_port_ - first_port_ + 1u;
  auto port = choose(first_port_, lower_band(count, 32, 16, 128), last_port_, is_free);
  if (!port) return fail(Code::exhausted, "failed to allocate a nodePort: range is full");
  return static_cast<uint16_t>(*port);
}

Result<void> ServiceAllocator::check_port(uint16_t port) const {
  if (port < first_port_ || port > last_port_) {
    return fail(Code::invalid, "provided port is not in the valid range. The range of valid ports is " + std::to_string(first_port_) + "-" +
                                   std::to_string(last_port_));
  }
  if (store_->get(port_key(port))) return fail(Code::already_exists, "provided port is already allocated");
  return {};
}

}  // namespace estiba::apiserver
