#include "ingress/balance.h"

#include <algorithm>
#include <random>

namespace estiba::ingress {

uint64_t random_below(uint64_t limit) {
  static thread_local std::minstd_rand generator{std::random_device{}()};
  return std::uniform_int_distribution<uint64_t>(0, limit - 1)(generator);
}

EndpointPtr least_busy(const std::vector<EndpointPtr>& endpoints, const std::vector<EndpointPtr>& tried, Instant now) {
  if (endpoints.empty()) return nullptr;
  if (endpoints.size() == 1 && tried.empty()) return endpoints.front();
  const auto ejected = std::ranges::count_if(endpoints, [&](const EndpointPtr& one) { return one->health.is_ejected(now); });
  const bool panic = size_t(ejected) * 2 > endpoints.size();
  const EndpointPtr* best = nullptr;
  std::tuple<bool, bool, int> fewest;  // unreachable, ejected, requests
  // From a place drawn at random, so that those who are equal take turns.
  const size_t start = random_below(endpoints.size());
  for (size_t i = 0; i < endpoints.size(); ++i) {
    const EndpointPtr& one = endpoints[(start + i) % endpoints.size()];
    const std::tuple rank(one->health.is_unreachable(now), !panic && ejected > 0 && one->health.is_ejected(now),
                          one->active.load(std::memory_order_relaxed));
    if (std::ranges::contains(tried, one) || (best && rank >= fewest)) continue;
    best = &one;
    fewest = rank;
    if (rank == std::tuple(false, false, 0)) break;
  }
  return best ? *best : nullptr;
}

uint64_t sum_of_weights(const std::vector<Backend>& backends) {
  uint64_t sum = 0;
  for (const Backend& backend : backends) sum += backend.weight;
  return sum;
}

const Backend* by_weight(const std::vector<Backend>& backends, uint64_t draw) {
  for (const Backend& backend : backends) {
    if (draw < backend.weight) return &backend;
    draw -= backend.weight;
  }
  return nullptr;
}

const Backend* draw_backend(const std::vector<Backend>& backends) {
  const uint64_t sum = sum_of_weights(backends);
  return sum ? by_weight(backends, random_below(sum)) : nullptr;
}

std::string_view host_of_end(std::string_view end) {
  std::string_view host = end.substr(0, end.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host;
}

}  // namespace estiba::ingress
