#include "scheduler/decide.h"

#include <algorithm>
#include <map>

namespace estiba::scheduler {

static bool pass(const Profile& profile, const Demand& pod, const NodeState& node, std::vector<std::string>* why) {
  for (const FilterPlugin& filter : profile.filters)
    if (!filter.fits(pod, node, why)) return false;
  return true;
}

bool fits(const Profile& profile, const Demand& pod, const NodeState& node, std::vector<std::string>* why) {
  if (!pass(profile, pod, node, why)) return false;
  if (node.nominated.empty()) return true;
  NodeState later = node;
  for (const DemandPtr& other : node.nominated)
    if (other->priority() >= pod.priority() && other->pod.meta().uid != pod.pod.meta().uid) later.put_on(other);
  return later.pods == node.pods || pass(profile, pod, later, why);
}

static std::string explain(const Profile& profile, const Cluster& cluster, const Demand& pod) {
  if (cluster.nodes().empty()) return "no nodes available to schedule pods";
  std::map<std::string, size_t> reasons;
  std::vector<std::string> why;
  for (const NodeState* node : cluster.nodes()) {
    why.clear();
    fits(profile, pod, *node, &why);
    for (const std::string& reason : why) ++reasons[reason];
  }
  std::vector<std::string> parts;
  for (const auto& [reason, count] : reasons) parts.push_back(std::to_string(count) + " " + reason);
  std::sort(parts.begin(), parts.end());
  std::string message = "0/" + std::to_string(cluster.nodes().size()) + " nodes are available: ";
  for (size_t i = 0; i < parts.size(); ++i) message.append(i ? ", " : "").append(parts[i]);
  return message + ".";
}

static void add_scores(const ScorePlugin& plugin, const Demand& pod, const std::vector<const NodeState*>& nodes,
                       std::vector<int64_t>& sums) {
  std::vector<int64_t> raw(nodes.size());
  int64_t most = 0;
  for (size_t i = 0; i < nodes.size(); ++i) most = std::max(most, raw[i] = plugin.score(pod, *nodes[i]));
  for (size_t i = 0; i < nodes.size(); ++i) {
    int64_t score = raw[i];
    if (plugin.scale != ScorePlugin::Scale::as_is) score = most == 0 ? 0 : raw[i] * 100 / most;
    if (plugin.scale == ScorePlugin::Scale::from_worst) score = 100 - score;
    sums[i] += plugin.weight * score;
  }
}

Decision decide(const Profile& profile, const Cluster& cluster, const Demand& pod, uint64_t turn) {
  std::vector<const NodeState*> candidates;
  const auto& nodes = cluster.nodes();
  for (size_t i = 0; i < nodes.size(); ++i) {
    const NodeState* node = nodes[(i + turn) % nodes.size()];
    if (fits(profile, pod, *node, nullptr)) candidates.push_back(node);
  }
  if (candidates.empty()) return {nullptr, explain(profile, cluster, pod)};
  if (candidates.size() == 1) return {candidates[0], {}};
  std::vector<int64_t> sums(candidates.size());
  for (const ScorePlugin& plugin : profile.scores) add_scores(plugin, pod, candidates, sums);
  const auto best = std::max_element(sums.begin(), sums.end());
  return {candidates[size_t(best - sums.begin())], {}};
}

}  // namespace estiba::scheduler
