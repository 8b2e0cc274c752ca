#include "network/bandwidth.h"

#include <algorithm>

#include "base/strings.h"
#include "model/quantity.h"

namespace estiba::network {

Result<Bandwidth> bandwidth_of(const std::vector<std::pair<std::string, std::string>>& annotations) {
  static const auto least = *model::Quantity::parse("1k"), most = *model::Quantity::parse("1P");
  Bandwidth bandwidth;
  for (const auto& [key, value] : annotations) {
    const bool ingress = key == "kubernetes.io/ingress-bandwidth";
    if (!ingress && key != "kubernetes.io/egress-bandwidth") continue;
    const auto rate = model::Quantity::parse(value);
    if (!rate || *rate < least || *rate > most)
      return fail(Code::invalid, "the annotation " + key + " must be bits a second from 1k to 1P, as 10M, not " + quoted(value));
    (ingress ? bandwidth.ingress : bandwidth.egress) = uint64_t(rate->to_int64());
  }
  return bandwidth;
}

uint64_t burst_of(uint64_t rate) {
  constexpr uint64_t least = uint64_t(128 << 10) * 8;
  return std::max(rate / 20, least);
}

// What waits longer than 50 ms is dropped, so that senders notice.
void put_rate(os::rtnl::Batch& batch, int index, uint64_t rate) {
  if (rate)
    os::rtnl::put_token_bucket(batch, index, rate / 8, uint32_t(std::min<uint64_t>(burst_of(rate) / 8, 1u << 30)),
                               std::chrono::milliseconds(50));
}

}  // namespace estiba::network
