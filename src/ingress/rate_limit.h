// How many requests a client may send to an Ingress: estiba.dev/rate-limit and estiba.dev/rate-limit-burst (docs/network.md).
//
// The generic cell rate algorithm: of each client only the time is kept at which all that it has sent would be due at the allowed rate.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/executor.h"
#include "base/result.h"

namespace estiba::ingress {

struct Rate {
  Duration interval{};  ///< between requests that come evenly
  uint32_t burst = 1;   ///< how many may come at once

  /// "10/s", "600/m", "36000/h"; the burst is five seconds' worth and at least 1, unless `burst` says a number. Errors say what is allowed.
  static Result<Rate> parse(std::string_view rate, std::string_view burst);
  bool operator==(const Rate&) const = default;
};

class RateLimit {
 public:
  explicit RateLimit(Rate rate) : rate_(rate) {}

  /// Whether a client may send a request now: zero, or for how long it should wait. Any thread. `peer` is "10.0.0.1:4711" or
  /// "[fd00::1]:4711"; all addresses of an IPv6 network of 64 bits are one client, since whoever has one of them has the others.
  Duration admit(std::string_view peer, Instant now);
  const Rate& rate() const { return rate_; }

 private:
  // Who was not seen while as many others came as an age holds is forgotten: that takes no search, however many come.
  static constexpr size_t shards = 16, most_of_an_age = 2048;
  struct Shard {
    std::mutex mutex;
    std::unordered_map<uint64_t, Instant> young, old;  // guarded by mutex; when a client's requests are due
    Instant& due_of(uint64_t client, Instant now);
  };
  const Rate rate_;
  std::array<Shard, shards> shards_;
};

/// Those of all Ingresses, which outlive a change of the configuration. Used on one thread.
class RateLimits {
 public:
  /// The one of an object; another one when its rate has changed.
  std::shared_ptr<RateLimit> of(const std::string& object, Rate rate);

 private:
  std::map<std::string, std::weak_ptr<RateLimit>> known_;
};

}  // namespace estiba::ingress
