#include "controllers/stateful_status.h"

#include "client/json_writer.h"
#include "controllers/revision_history.h"
#include "model/types/apps_v1.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::apps_v1::StatefulSet;

void StatefulStatus::count(const ObjectRef& pod, bool terminating, bool is_ready, bool is_available) {
  ++replicas;
  if (is_ready) ++ready;
  if (is_ready && is_available) ++available;
  if (terminating) return;
  const std::string_view revision = pod.meta().label(revision_hash_label);
  if (revision == current_revision) ++current;
  if (revision == update_revision) ++updated;
}

void StatefulStatus::complete_rollout(const ObjectRef& set) {
  const auto& spec = set.as<StatefulSet>().spec;
  const int64_t wanted = spec.replicas.value_or(1);
  if (spec.updateStrategy && spec.updateStrategy->type == "OnDelete") return;
  if (updated != wanted || ready != wanted || replicas != wanted) return;
  current = updated;
  current_revision = update_revision;
}

std::optional<std::string> StatefulStatus::patch(const ObjectRef& set) const {
  const auto& now = set.as<StatefulSet>().status;
  if (now.observedGeneration.value_or(0) == set.meta().generation && now.replicas == replicas && now.readyReplicas.value_or(0) == ready &&
      now.availableReplicas.value_or(0) == available && now.currentReplicas.value_or(0) == current &&
      now.updatedReplicas.value_or(0) == updated && now.currentRevision == current_revision && now.updateRevision == update_revision &&
      now.collisionCount == collisions)
    return std::nullopt;
  client::JsonWriter json;
  json.object().object("status").field("observedGeneration", set.meta().generation).field("replicas", replicas);
  json.nonzero("readyReplicas", ready);
  json.nonzero("currentReplicas", current);
  json.nonzero("updatedReplicas", updated);
  json.field("availableReplicas", available).field("currentRevision", current_revision).field("updateRevision", update_revision);
  json.field("collisionCount", collisions).end().end();
  return json.take();
}

}  // namespace estiba::controllers
