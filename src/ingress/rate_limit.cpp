#include "ingress/rate_limit.h"

#include <algorithm>

#include "base/address.h"
#include "base/strings.h"

namespace estiba::ingress {

using namespace std::chrono_literals;

Result<Rate> Rate::parse(std::string_view text, std::string_view burst_text) {
  const auto [number, unit] = split_once(text, '/');
  const auto count = parse_number<uint32_t>(number);
  const Duration period = unit == "s" ? Duration(1s) : unit == "m" ? Duration(1min) : unit == "h" ? Duration(1h) : Duration(0);
  if (!count || *count == 0 || *count > 1'000'000 || period == Duration(0))
    return fail(Code::invalid, "must be a number from 1 to 1000000 and a unit, like 10/s, 600/m or 36000/h, not " + quoted(text));
  Rate out{.interval = period / *count, .burst = uint32_t(std::max<int64_t>(1, int64_t(*count) * (5s / 1s) / (period / 1s)))};
  if (burst_text.empty()) return out;
  const auto burst = parse_number<uint32_t>(burst_text);
  if (!burst || *burst == 0 || *burst > 1'000'000)
    return fail(Code::invalid, "burst must be a number from 1 to 1000000, not " + quoted(burst_text));
  out.burst = *burst;
  return out;
}

// A number for the client: its IPv4 address, or the network of its IPv6 address.
static uint64_t client_of(std::string_view peer) {
  peer = peer.substr(0, peer.rfind(':'));
  if (peer.starts_with('[') && peer.ends_with(']')) peer = peer.substr(1, peer.size() - 2);
  const auto address = Address::parse(peer);
  if (!address) return 0;  // no address: a unix socket
  return address->v6 ? uint64_t(address->value() >> 64) : address->number();
}

Instant& RateLimit::Shard::due_of(uint64_t client, Instant now) {
  if (const auto found = young.find(client); found != young.end()) return found->second;
  if (young.size() >= most_of_an_age) {
    old = std::move(young);
    young.clear();
  }
  const auto found = old.find(client);
  return young.emplace(client, found == old.end() ? now : found->second).first->second;
}

Duration RateLimit::admit(std::string_view peer, Instant now) {
  const uint64_t client = client_of(peer);
  Shard& shard = shards_[(client * 0x9e3779b97f4a7c15ULL) >> 60];
  std::lock_guard lock(shard.mutex);
  Instant& due = shard.due_of(client, now);
  const Instant earliest = due - rate_.interval * int64_t(rate_.burst - 1);
  if (earliest > now) return earliest - now;
  due = std::max(due, now) + rate_.interval;
  return Duration(0);
}

std::shared_ptr<RateLimit> RateLimits::of(const std::string& object, Rate rate) {
  if (known_.size() > 1024) std::erase_if(known_, [](const auto& one) { return one.second.expired(); });
  std::weak_ptr<RateLimit>& slot = known_[object];
  auto limit = slot.lock();
  if (!limit || limit->rate() != rate) slot = limit = std::make_shared<RateLimit>(rate);
  return limit;
}

}  // namespace estiba::ingress
