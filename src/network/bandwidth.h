// How fast a pod may send and receive, as its annotations kubernetes.io/ingress-bandwidth and kubernetes.io/egress-bandwidth say.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "network/pod_net.h"
#include "os/rtnl.h"

namespace estiba::network {

/// Bits a second as quantities ("10M") from 1k to 1P, Kubernetes' own bounds. Code::invalid names the annotation.
Result<Bandwidth> bandwidth_of(const std::vector<std::pair<std::string, std::string>>& annotations);

/// What may pass at once at a rate, in bits: 50 ms of it, at least 128 KiB, which is two of the largest packets that the kernel makes.
/// Longer bursts would let short transfers by unlimited.
uint64_t burst_of(uint64_t rate);

/// Limits what leaves by the link with this index, if `rate` is not 0.
void put_rate(os::rtnl::Batch& batch, int index, uint64_t rate);

}  // namespace estiba::network
