#include "node/placement/hints.h"

#include <algorithm>

namespace estiba::node {

namespace {

// Fewer nodes, and of as many the lower ones (bitmask.IsNarrowerThan).
bool narrower(const NumaNodes& a, const NumaNodes& b) {
  if (a.size() != b.size()) return a.size() < b.size();
  return std::ranges::lexicographical_compare(std::vector<int>(a.begin(), a.end()), std::vector<int>(b.begin(), b.end()));
}

class Search {
 public:
  Search(const NumaNodes& all, std::vector<std::vector<Hint>> lists) : all_(all), lists_(std::move(lists)) {
    for (const auto& list : lists_) {
      const NumaNodes* least = nullptr;
      for (const Hint& hint : list)
        if (hint.nodes && (!least || narrower(*hint.nodes, *least))) least = &*hint.nodes;
      if (least) greediest_ = std::max(greediest_, least->size());
    }
  }

  Hint best() {
    look(0, all_, true);
    return best_ ? *best_ : Hint{all_, false};
  }

 private:
  // One hint of each list; their nodes are what all of them have.
  void look(size_t at, const NumaNodes& nodes, bool preferred) {
    if (at == lists_.size()) {
      if (!nodes.empty()) offer({nodes, preferred});
      return;
    }
    for (const Hint& hint : lists_[at]) look(at + 1, hint.nodes ? nodes & *hint.nodes : nodes, preferred && hint.preferred);
  }

  void offer(Hint candidate) {
    if (!best_ || better(candidate, *best_)) best_ = std::move(candidate);
  }

  bool better(const Hint& candidate, const Hint& current) const {
    if (candidate.preferred != current.preferred) return candidate.preferred;
    const size_t now = current.nodes->size(), then = candidate.nodes->size();
    const bool fewer = narrower(*candidate.nodes, *current.nodes);
    if (current.preferred || now > greediest_) return fewer;
    // Towards what the greediest resource needs, from below.
    if (now == greediest_ || then == now) return then == now && fewer;
    return then <= greediest_ && then > now;
  }

  const NumaNodes& all_;
  std::vector<std::vector<Hint>> lists_;
  size_t greediest_ = 0;
  std::optional<Hint> best_;
};

}  // namespace

Agreement agree(TopologyPolicy policy, const NumaNodes& all, const Hints& hints) {
  std::vector<std::vector<Hint>> lists;
  for (const auto& [resource, list] : hints) {
    if (!list) lists.push_back({{std::nullopt, true}});
    else if (list->empty()) lists.push_back({{std::nullopt, false}});
    else lists.push_back(*list);
  }
  const bool single = policy == TopologyPolicy::single_numa_node;
  if (single)
    for (auto& list : lists)
      std::erase_if(list, [](const Hint& hint) { return !hint.preferred || (hint.nodes && hint.nodes->size() != 1); });
  // A list that is empty now leaves no combination.
  const bool possible = std::ranges::none_of(lists, [](const auto& list) { return list.empty(); });
  Hint best = possible ? Search(all, std::move(lists)).best() : Hint{all, false};
  if (single && best.nodes == all) best.nodes.reset();
  const bool admit = policy == TopologyPolicy::best_effort || policy == TopologyPolicy::none || best.preferred;
  return {std::move(best), admit};
}

std::vector<NumaNodes> combinations(const NumaNodes& all) {
  std::vector<NumaNodes> out;
  const std::vector<int> nodes(all.begin(), all.end());
  for (uint64_t bits = 1; bits < uint64_t(1) << nodes.size(); ++bits) {
    NumaNodes some;
    for (size_t i = 0; i < nodes.size(); ++i)
      if (bits >> i & 1) some.insert(nodes[i]);
    out.push_back(std::move(some));
  }
  std::ranges::stable_sort(out, narrower);
  return out;
}

std::vector<Hint> hints_by_count(const NumaNodes& all, size_t wanted, const std::function<size_t(const NumaNodes&)>& there,
                                 const std::function<size_t(const NumaNodes&)>& whole) {
  std::vector<Hint> out;
  size_t fewest = all.size();
  for (const NumaNodes& nodes : combinations(all)) {
    if (whole(nodes) >= wanted) fewest = std::min(fewest, nodes.size());
    if (there(nodes) >= wanted) out.push_back({nodes, false});
  }
  for (Hint& hint : out) hint.preferred = hint.nodes->size() == fewest;
  return out;
}

}  // namespace estiba::node
