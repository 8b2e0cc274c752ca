#include "apiserver/service_allocator.h"

#include <arpa/inet.h>

#include <optional>

#include "apiserver/edit.h"
#include "apiserver/kept.h"
#include "apiserver/reservations.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

std::optional<uint32_t> parse_ipv4(std::string_view text) {
  in_addr address{};
  if (inet_pton(AF_INET, std::string(text).c_str(), &address) != 1) return std::nullopt;
  return ntohl(address.s_addr);
}

uint32_t random_below(uint32_t limit) {
  uint32_t value;
  std::string bytes = random_bytes(sizeof value);
  memcpy(&value, bytes.data(), sizeof value);
  return value % limit;
}

// How much of a range's lower end is for those who ask (KEP-3070): a part of it within bounds, nothing of a small one.
uint32_t lower_band(uint32_t size, uint32_t part, uint32_t least, uint32_t most) {
  return size <= least ? 0 : std::clamp(size / part, least, most);
}

// The first of [begin, end) that is free, from a random one on; then the same of the lower band.
template <class Free>
std::optional<uint32_t> choose(uint32_t first, uint32_t band, uint32_t last, Free&& is_free) {
  const auto search = [&](uint32_t begin, uint32_t end) -> std::optional<uint32_t> {
    if (begin >= end) return std::nullopt;
    const uint32_t count = end - begin, start = random_below(count);
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t number = begin + (start + i) % count;
      if (is_free(number)) return number;
    }
    return std::nullopt;
  };
  const uint32_t middle = std::min(first + band, last + 1);
  auto found = search(middle, last + 1);
  return found ? found : search(first, middle);
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

Result<AddressRange> AddressRange::parse(std::string_view cidr) {
  auto [address, length] = split_once(cidr, '/');
  auto base = parse_ipv4(address);
  auto bits = length ? parse_number<int>(*length) : std::nullopt;
  if (!base || !bits || *bits < 8 || *bits > 30)
    return fail(Code::invalid, "service CIDR " + quoted(cidr) + ": must be an IPv4 range from /8 to /30, like 10.43.0.0/16");
  AddressRange out{std::string(cidr), 0, 1u << (32 - *bits)};
  out.base = *base & ~(out.size - 1);
  return out;
}

std::string AddressRange::at(uint32_t offset) const {
  in_addr address{htonl(base + offset)};
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, &address, text, sizeof text);
  return text;
}

ServiceAllocator::ServiceAllocator(store::Store& store, AddressRange configured, uint16_t first_port, uint16_t last_port)
    : store_(&store),
      configured_(std::move(configured)),
      first_port_(first_port),
      last_port_(last_port),
      cache_(std::make_unique<Cache>()) {}

Result<ServiceAllocator> ServiceAllocator::make(store::Store& store, std::string_view cidr, uint16_t first_port, uint16_t last_port) {
  return ServiceAllocator(store, TRY(AddressRange::parse(cidr)), first_port, last_port);
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
      auto range = AddressRange::parse(network.as_string());
      if (!range) continue;  // IPv6: this cluster has none
      if (is_ready(doc.root())) made->ready.push_back(*range);
      made->all.push_back(std::move(*range));
    }
  }
  if (objects.empty()) made->ready = made->all = {configured_};
  made->objects = std::move(objects);
  std::lock_guard lock(cache_->mutex);
  cache_->newest = made;
  return made;
}

Result<std::string> ServiceAllocator::free_address() const {
  auto known = TRY(ranges());
  for (const AddressRange& range : known->ready) {
    const auto is_free = [&](uint32_t offset) {
      const uint32_t own = range.base + offset - configured_.base;
      const bool kept = own == 1 || own == 10;  // for default/kubernetes and the cluster's DNS
      return !kept && !store_->get(address_key(range.at(offset)));
    };
    if (auto offset = choose(1, lower_band(range.size, 16, 16, 256), range.size - 2, is_free)) return range.at(*offset);
  }
  return fail(Code::exhausted, known->ready.empty() ? "allocator not ready: no ServiceCIDR is ready"
                                                    : "range is full: delete Services or add a ServiceCIDR");
}

Result<void> ServiceAllocator::check_address(std::string_view address) const {
  auto known = TRY(ranges());
  const auto number = parse_ipv4(address);
  const AddressRange* found = nullptr;
  for (const AddressRange& range : known->ready) {
    if (!found && number && range.contains(*number)) found = &range;
  }
  if (!found) return fail(Code::invalid, "the provided network does not match the current range");
  if (*number == found->base || *number - found->base == found->size - 1)
    return fail(Code::invalid,
                "the provided IP (" + std::string(address) + ") is not in the valid range. The range of valid IPs is " + found->cidr);
  if (store_->get(address_key(address))) return fail(Code::already_exists, "provided IP is already allocated");
  return {};
}

bool ServiceAllocator::in_range(std::string_view address) const {
  const auto known = ranges();
  const auto number = parse_ipv4(address);
  if (!known || !number) return false;
  return std::any_of((*known)->all.begin(), (*known)->all.end(), [&](const AddressRange& range) { return range.contains(*number); });
}

Result<uint16_t> ServiceAllocator::free_port(const std::set<uint16_t>& besides) const {
  const auto is_free = [&](uint32_t number) {
    const auto port = static_cast<uint16_t>(number);
    return !besides.contains(port) && !store_->get(port_key(port));
  };
  const uint32_t count = last_port_ - first_port_ + 1u;
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
