#include "controllers/daemon_plan.h"

#include <algorithm>

#include "client/json_writer.h"
#include "controllers/pod_facts.h"
#include "model/types/apps_v1.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::apps_v1::DaemonSet;
using model::core_v1::Pod;

Result<DaemonBounds> daemon_bounds(const ObjectRef& set, int64_t wanted) {
  DaemonBounds bounds;
  const auto& strategy = set.as<DaemonSet>().spec.updateStrategy;
  if (strategy && strategy->type != "OnDelete" && strategy->rollingUpdate) {
    const auto& rolling = *strategy->rollingUpdate;
    if (rolling.maxSurge) bounds.surge = TRY_AS("invalid value for MaxSurge", rolling.maxSurge.scaled(int32_t(wanted), true));
    if (rolling.maxUnavailable)
      bounds.unavailable = TRY_AS("invalid value for MaxUnavailable", rolling.maxUnavailable.scaled(int32_t(wanted), true));
  }
  if (wanted > 0 && bounds.surge == 0 && bounds.unavailable == 0) bounds.unavailable = 1;
  return bounds;
}

// --- presence --------------------------------------------------------------------------------------------------------

// Of several pods of a surging set: the oldest of the present template and the oldest of an earlier one stay, until the new one
// is available or the old one is not ready.
static void thin_out(const std::vector<const DaemonPod*>& running, std::vector<ObjectRef>& remove) {
  const DaemonPod *oldest_new = nullptr, *oldest_old = nullptr;
  for (const DaemonPod* pod : running) {
    const DaemonPod*& kept = pod->updated ? oldest_new : oldest_old;
    if (!kept) kept = pod;
    else remove.push_back(pod->pod);
  }
  if (oldest_new && oldest_old && (!oldest_old->ready || oldest_new->available)) remove.push_back(oldest_old->pod);
}

static void plan_node(const std::string& name, const DaemonNode& node, bool surges, DaemonPlan& plan) {
  if (node.placement.should_run && node.pods.empty()) {
    plan.create.push_back(name);
    return;
  }
  if (!node.placement.may_stay) {
    for (const DaemonPod& pod : node.pods)
      if (!pod.going) plan.remove.push_back(pod.pod);
    return;
  }
  std::vector<const DaemonPod*> running;
  bool ended = false;
  for (const DaemonPod& pod : node.pods) {
    if (pod.going) continue;
    const std::string& phase = pod.pod.as<Pod>().status.phase;
    ended |= phase == "Failed" || phase == "Succeeded";
    if (phase == "Failed") plan.failed.push_back(pod.pod);
    else if (phase == "Succeeded") plan.succeeded.push_back(pod.pod);
    else running.push_back(&pod);
  }
  if (surges && running.size() > 1) thin_out(running, plan.remove);
  else if (surges && running.empty() && !ended && node.placement.should_run) plan.create.push_back(name);
  else
    for (size_t i = 1; i < running.size(); ++i) plan.remove.push_back(running[i]->pod);
}

DaemonPlan plan_presence(const DaemonNodes& nodes, bool surges) {
  DaemonPlan plan;
  for (const auto& [name, node] : nodes) {
    if (node.exists) {
      plan_node(name, node, surges, plan);
      continue;
    }
    // Made for a node that went before they were placed.
    for (const DaemonPod& pod : node.pods)
      if (pod.pod.as<Pod>().spec.nodeName.empty() && !pod.going) plan.remove.push_back(pod.pod);
  }
  plan.remove.insert(plan.remove.end(), plan.succeeded.begin(), plan.succeeded.end());
  return plan;
}

// --- rolling update --------------------------------------------------------------------------------------------------

namespace {
struct OldAndNew {
  const DaemonPod *old = nullptr, *fresh = nullptr;
  bool excess = false;  // several of one kind: left to plan_presence
};
}  // namespace

static OldAndNew old_and_new(const DaemonNode& node) {
  OldAndNew found;
  for (const DaemonPod& pod : node.pods) {
    if (pod.going) continue;
    const DaemonPod*& place = pod.updated ? found.fresh : found.old;
    found.excess |= place != nullptr;
    place = &pod;
  }
  return found;
}

static DaemonPlan replace_in_place(const DaemonNodes& nodes, int64_t allowed) {
  DaemonPlan plan;
  std::vector<ObjectRef> candidates;
  int64_t lacking = 0;
  for (const auto& [name, node] : nodes) {
    if (node.pods.empty() && !node.placement.should_run) continue;
    const OldAndNew pods = old_and_new(node);
    if (pods.excess || bool(pods.old) == bool(pods.fresh)) ++lacking;
    else if (pods.fresh) lacking += pods.fresh->available ? 0 : 1;
    else if (pods.old->available) candidates.push_back(pods.old->pod);
    else {
      plan.remove.push_back(pods.old->pod);  // does not serve anyway
      ++lacking;
    }
  }
  const int64_t more = std::clamp<int64_t>(allowed - lacking, 0, int64_t(candidates.size()));
  plan.remove.insert(plan.remove.end(), candidates.begin(), candidates.begin() + more);
  return plan;
}

static DaemonPlan replace_by_surge(const DaemonNodes& nodes, int64_t allowed) {
  DaemonPlan plan;
  std::vector<std::string> candidates;
  std::vector<ObjectRef> misplaced;
  int64_t surging = 0, available = 0, wanted = 0;
  for (const auto& [name, node] : nodes) {
    if (node.placement.should_run) ++wanted;
    const OldAndNew pods = old_and_new(node);
    if (pods.excess) {
      ++surging;
      continue;
    }
    const DaemonPod* serving = pods.old ? pods.old : pods.fresh;
    if (serving && serving->available) ++available;
    if (!pods.old) continue;
    if (pods.fresh) {
      if (pods.fresh->available) plan.remove.push_back(pods.old->pod);
      else ++surging;
    } else if (!node.placement.should_run) {
      (pods.old->available ? misplaced : plan.remove).push_back(pods.old->pod);
    } else {
      (pods.old->available ? candidates : plan.create).push_back(name);
    }
  }
  const int64_t spare = std::clamp<int64_t>(available - wanted, 0, int64_t(misplaced.size()));
  plan.remove.insert(plan.remove.end(), misplaced.begin(), misplaced.begin() + spare);
  const int64_t more = std::clamp<int64_t>(allowed - surging, 0, int64_t(candidates.size()));
  plan.create.insert(plan.create.end(), candidates.begin(), candidates.begin() + more);
  return plan;
}

DaemonPlan plan_update(const DaemonNodes& nodes, DaemonBounds bounds) {
  return bounds.surge == 0 ? replace_in_place(nodes, bounds.unavailable) : replace_by_surge(nodes, bounds.surge);
}

// --- status ----------------------------------------------------------------------------------------------------------

DaemonCounts count_daemons(const DaemonNodes& nodes) {
  DaemonCounts counts;
  for (const auto& [name, node] : nodes) {
    if (!node.exists) continue;
    if (!node.placement.should_run) {
      if (!node.pods.empty()) ++counts.misscheduled;
      continue;
    }
    ++counts.desired;
    if (node.pods.empty()) continue;
    const DaemonPod& first = node.pods.front();
    ++counts.current;
    if (first.ready) ++counts.ready;
    if (first.available) ++counts.available;
    if (first.updated) ++counts.updated;
  }
  return counts;
}

std::optional<std::string> daemon_status_patch(const ObjectRef& set, const DaemonCounts& counts, int64_t collisions) {
  const auto& now = set.as<DaemonSet>().status;
  const int64_t unavailable = counts.desired - counts.available;
  if (now.desiredNumberScheduled == counts.desired && now.currentNumberScheduled == counts.current &&
      now.numberMisscheduled == counts.misscheduled && now.numberReady == counts.ready &&
      now.updatedNumberScheduled.value_or(0) == counts.updated && now.numberAvailable.value_or(0) == counts.available &&
      now.numberUnavailable.value_or(0) == unavailable && now.observedGeneration.value_or(0) >= set.meta().generation &&
      now.collisionCount.value_or(0) == collisions)
    return std::nullopt;
  client::JsonWriter json;
  json.object().object("status").field("observedGeneration", set.meta().generation).field("desiredNumberScheduled", counts.desired);
  json.field("currentNumberScheduled", counts.current).field("numberMisscheduled", counts.misscheduled).field("numberReady", counts.ready);
  json.nonzero("updatedNumberScheduled", counts.updated);
  json.nonzero("numberAvailable", counts.available);
  json.nonzero("numberUnavailable", unavailable);
  json.nonzero("collisionCount", collisions);
  json.end().end();
  return json.take();
}

}  // namespace estiba::controllers
