#include "node/layer_sizes.h"

namespace estiba::node {

Task<image::Usage> LayerSizes::of(std::string id) {
  const Instant begin = executor_.now();
  if (auto found = known_.find(id); found != known_.end() && begin < found->second.until) co_return found->second.usage;
  const image::Usage usage = co_await walk_(id);
  const Instant end = executor_.now();
  known_[id] = {usage, end + (end - begin) * 30};
  co_return usage;
}

void LayerSizes::keep(const std::set<std::string>& ids) {
  std::erase_if(known_, [&](const auto& entry) { return !ids.contains(entry.first); });
}

}  // namespace estiba::node
