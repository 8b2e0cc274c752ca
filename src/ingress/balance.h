// Which backend gets a request or connection, and which of its endpoints.
#pragma once
#include "ingress/config.h"

namespace estiba::ingress {

/// How many endpoints are asked for one request or connection.
inline constexpr size_t most_attempts = 3;

/// Counts a request or connection under way, for as long as it lives.
struct Active {
  EndpointPtr endpoint;
  explicit Active(EndpointPtr of) : endpoint(std::move(of)) { endpoint->active.fetch_add(1, std::memory_order_relaxed); }
  Active(const Active&) = delete;
  ~Active() { endpoint->active.fetch_sub(1, std::memory_order_relaxed); }
};

/// Of `endpoints`, not in `tried`, one of those with the fewest requests. Those that are ejected are asked after the others, unless these
/// are the lesser half: then too much is amiss to load it on them. Those to which no connection could be made are asked last. Null when all
/// were tried.
EndpointPtr least_busy(const std::vector<EndpointPtr>& endpoints, const std::vector<EndpointPtr>& tried, Instant now = Instant::max());
/// A backend by weight, `draw` being a number below the sum of the weights. Null when the sum is 0.
const Backend* by_weight(const std::vector<Backend>& backends, uint64_t draw);
uint64_t sum_of_weights(const std::vector<Backend>& backends);
/// A backend by weight, by chance. Null when the weights are 0.
const Backend* draw_backend(const std::vector<Backend>& backends);
/// From 0 to below `limit`.
uint64_t random_below(uint64_t limit);

/// "10.0.0.1:80" → "10.0.0.1", "[::1]:80" → "::1".
std::string_view host_of_end(std::string_view end);

}  // namespace estiba::ingress
