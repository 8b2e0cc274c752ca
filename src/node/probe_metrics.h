// What probes have said, by container: GET /metrics/probes, with the kubelet's names.
#pragma once
#include <map>
#include <string>
#include <tuple>

#include "node/prober.h"

namespace estiba::node {

class ProbeMetrics {
 public:
  struct Place {
    std::string pod_uid, ns, pod, container;
    ProbeKind kind = ProbeKind::liveness;
    auto operator<=>(const Place&) const = default;
  };
  /// One check that counted, and how long it took.
  void add(const Place& place, bool ok, Duration took);
  /// Its pod is gone.
  void forget(const std::string& pod_uid);
  /// Prometheus' text form.
  std::string print() const;

 private:
  static constexpr double bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};  // seconds
  struct Said {
    uint64_t successes = 0, failures = 0;
    uint64_t buckets[std::size(bounds)] = {};  // how many took at most so long
    double seconds = 0;
  };
  std::map<Place, Said> said_;
};

}  // namespace estiba::node
