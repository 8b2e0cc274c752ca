#include "controllers/replica_set_status.h"

#include "base/time.h"
#include "client/json_writer.h"
#include "client/selectors.h"
#include "controllers/pod_facts.h"
#include "model/types/apps_v1.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::apps_v1::ReplicaSet;
using model::apps_v1::ReplicaSetCondition;
using model::core_v1::Pod;

ReplicaSetCount count_replicas(const ObjectRef& set, const std::vector<ObjectRef>& pods, WallTime now) {
  const ReplicaSet& typed = set.as<ReplicaSet>();
  const int64_t min_ready = typed.spec.minReadySeconds.value_or(0);
  ReplicaSetCount count;
  for (const ObjectRef& object : pods) {
    ++count.replicas;
    if (client::matches(typed.spec.template_.metadata.labels, object.meta().labels)) ++count.fully_labeled;
    const auto available = available_at(object.as<Pod>(), min_ready);
    if (!available) continue;
    ++count.ready;
    if (*available <= now) ++count.available;
    else if (!count.next_available || *available < *count.next_available) count.next_available = *available;
  }
  return count;
}

static const ReplicaSetCondition* failure_of(const ReplicaSet& set) {
  for (const ReplicaSetCondition& condition : set.status.conditions)
    if (condition.type == "ReplicaFailure") return &condition;
  return nullptr;
}

std::optional<std::string> replica_set_status_patch(const ObjectRef& set, const ReplicaSetCount& count, const Result<void>& managed,
                                                    size_t active, WallTime now) {
  const ReplicaSet& typed = set.as<ReplicaSet>();
  const auto& status = typed.status;
  const ReplicaSetCondition* failure = failure_of(typed);
  const std::string reason = managed ? "" : int64_t(active) < typed.spec.replicas.value_or(1) ? "FailedCreate" : "FailedDelete";
  const bool same_failure = managed ? !failure : failure && failure->reason == reason;
  if (same_failure && status.replicas == count.replicas && status.fullyLabeledReplicas.value_or(0) == count.fully_labeled &&
      status.readyReplicas.value_or(0) == count.ready && status.availableReplicas.value_or(0) == count.available &&
      status.observedGeneration.value_or(0) == set.meta().generation)
    return std::nullopt;

  client::JsonWriter json;
  json.object().object("status").field("replicas", count.replicas);
  json.nonzero("fullyLabeledReplicas", count.fully_labeled);
  json.nonzero("readyReplicas", count.ready);
  json.nonzero("availableReplicas", count.available);
  json.nonzero("observedGeneration", set.meta().generation);
  if (managed) {
    json.null("conditions");
  } else {
    const std::string since = failure && failure->status == "True" ? failure->lastTransitionTime : format_rfc3339(now);
    json.array("conditions").object().field("type", "ReplicaFailure").field("status", "True").field("lastTransitionTime", since);
    json.field("reason", reason).field("message", managed.error().message).end().end();
  }
  json.end().end();
  return json.take();
}

}  // namespace estiba::controllers
