#include "controllers/deletion_rank.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/strings.h"
#include "controllers/pod_facts.h"

namespace estiba::controllers {

using model::core_v1::Pod;

// Smaller goes first.
using Rank = std::tuple<bool, int, bool, int64_t, int64_t, int64_t, int64_t, int64_t, std::string_view>;

static int phase_rank(const std::string& phase) { return phase == "Pending" ? 0 : phase == "Unknown" ? 1 : 2; }

static Rank rank_of(const model::ObjectRef& object, int64_t siblings) {
  const Pod& pod = object.as<Pod>();
  const auto* condition = find_condition(pod, "Ready");
  const bool ready = condition && condition->status == "True";
  const int64_t cost = parse_number<int32_t>(object.meta().annotation("controller.kubernetes.io/pod-deletion-cost")).value_or(0);
  const int64_t ready_since = ready ? time_or_epoch(condition->lastTransitionTime).time_since_epoch().count() : 0;
  int64_t restarts = 0;
  for (const auto& container : pod.status.containerStatuses) restarts = std::max<int64_t>(restarts, container.restartCount);
  const int64_t created = time_or_epoch(object.meta().creation_timestamp).time_since_epoch().count();
  return {!pod.spec.nodeName.empty(), phase_rank(pod.status.phase), ready, cost, -siblings, -ready_since, -restarts, -created, object.meta().name};
}

std::vector<model::ObjectRef> pods_to_delete(std::vector<model::ObjectRef> pods, size_t count) {
  if (count >= pods.size()) return pods;
  std::map<std::string_view, int64_t> on_node;
  for (const model::ObjectRef& pod : pods)
    if (const std::string& node = pod.as<Pod>().spec.nodeName; !node.empty()) ++on_node[node];
  std::vector<std::pair<Rank, model::ObjectRef>> ranked;
  ranked.reserve(pods.size());
  for (model::ObjectRef& pod : pods) {
    const std::string& node = pod.as<Pod>().spec.nodeName;
    Rank rank = rank_of(pod, node.empty() ? 0 : on_node[node]);
    ranked.emplace_back(std::move(rank), std::move(pod));
  }
  std::sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<model::ObjectRef> out;
  for (size_t i = 0; i < count; ++i) out.push_back(std::move(ranked[i].second));
  return out;
}

}  // namespace estiba::controllers
