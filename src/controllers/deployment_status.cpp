#include "controllers/deployment_status.h"

#include <limits>

#include "base/strings.h"
#include "base/time.h"
#include "client/json_writer.h"
#include "controllers/pod_facts.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::apps_v1::Deployment;

DeploymentStatus DeploymentStatus::of(const ObjectRef& deployment) {
  const auto& from = deployment.as<Deployment>().status;
  DeploymentStatus status;
  status.observed_generation = from.observedGeneration.value_or(0);
  status.replicas = from.replicas.value_or(0);
  status.updated = from.updatedReplicas.value_or(0);
  status.ready = from.readyReplicas.value_or(0);
  status.available = from.availableReplicas.value_or(0);
  status.unavailable = from.unavailableReplicas.value_or(0);
  if (from.collisionCount) status.collisions = *from.collisionCount;
  for (const auto& c : from.conditions) status.conditions.push_back({c.type, c.status, c.reason, c.message, c.lastUpdateTime, c.lastTransitionTime});
  return status;
}

const DeploymentCondition* DeploymentStatus::find(std::string_view type) const {
  for (const DeploymentCondition& condition : conditions)
    if (condition.type == type) return &condition;
  return nullptr;
}

void DeploymentStatus::remove(std::string_view type) {
  std::erase_if(conditions, [&](const DeploymentCondition& c) { return c.type == type; });
}

void DeploymentStatus::set(std::string_view type, std::string_view status, std::string_view reason, std::string message, WallTime now) {
  const DeploymentCondition* current = find(type);
  if (current && current->status == status && current->reason == reason) return;
  const std::string time = format_rfc3339(now);
  DeploymentCondition next{std::string(type), std::string(status), std::string(reason), std::move(message), time, time};
  if (current && current->status == status) next.transitioned = current->transitioned;
  remove(type);
  conditions.push_back(std::move(next));
}

std::string DeploymentStatus::patch() const {
  client::JsonWriter json;
  json.object().object("status");
  const auto number = [&](std::string_view key, int64_t value) {
    if (value == 0) json.null(key);
    else json.field(key, value);
  };
  number("observedGeneration", observed_generation);
  number("replicas", replicas);
  number("updatedReplicas", updated);
  number("readyReplicas", ready);
  number("availableReplicas", available);
  number("unavailableReplicas", unavailable);
  if (collisions) json.field("collisionCount", *collisions);
  json.array("conditions");
  for (const DeploymentCondition& c : conditions) {
    json.object().field("type", c.type).field("status", c.status).field("lastUpdateTime", c.updated).field("lastTransitionTime", c.transitioned);
    json.field("reason", c.reason).field("message", c.message).end();
  }
  json.end().end().end();
  return json.take();
}

void count_into(DeploymentStatus& status, const ObjectRef& deployment, const std::vector<SetState>& old, const SetState* fresh, WallTime now) {
  const auto& spec = deployment.as<Deployment>().spec;
  Totals all = totals(old);
  if (fresh) {
    all.replicas += fresh->replicas;
    all.actual += fresh->actual;
    all.ready += fresh->ready;
    all.available += fresh->available;
  }
  status.observed_generation = deployment.meta().generation;
  status.replicas = all.actual;
  status.updated = fresh ? fresh->actual : 0;
  status.ready = all.ready;
  status.available = all.available;
  status.unavailable = std::max<int64_t>(0, all.replicas - all.available);
  if (all.available >= spec.replicas.value_or(1) - rollout_bounds(spec).unavailable)
    status.set("Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now);
  else status.set("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.", now);
}

bool is_complete(const ObjectRef& deployment, const DeploymentStatus& status) {
  const int64_t replicas = deployment.as<Deployment>().spec.replicas.value_or(1);
  return status.updated == replicas && status.replicas == replicas && status.available == replicas &&
         status.observed_generation >= deployment.meta().generation;
}

std::optional<Duration> progress_deadline(const ObjectRef& deployment) {
  const auto seconds = deployment.as<Deployment>().spec.progressDeadlineSeconds;
  if (!seconds || *seconds == std::numeric_limits<int32_t>::max()) return std::nullopt;
  return std::chrono::seconds(*seconds);
}

static bool has_progressed(const DeploymentStatus& before, const DeploymentStatus& now) {
  return now.updated > before.updated || now.replicas - now.updated < before.replicas - before.updated || now.ready > before.ready ||
         now.available > before.available;
}

static bool has_timed_out(const ObjectRef& deployment, const DeploymentStatus& status, WallTime now) {
  const auto deadline = progress_deadline(deployment);
  const DeploymentCondition* progressing = status.find("Progressing");
  if (!deadline || !progressing || progressing->reason == "NewReplicaSetAvailable") return false;
  if (progressing->reason == "ProgressDeadlineExceeded") return true;
  return time_or_epoch(progressing->updated) + *deadline < now;
}

static void copy_failure(DeploymentStatus& status, const std::vector<SetState>& old, const SetState* fresh) {
  status.remove("ReplicaFailure");
  std::vector<const SetState*> sets;
  if (fresh) sets.push_back(fresh);
  for (const SetState& set : old) sets.push_back(&set);
  for (const SetState* set : sets)
    for (const auto& c : set->object.as<model::apps_v1::ReplicaSet>().status.conditions) {
      if (c.type != "ReplicaFailure") continue;
      status.conditions.push_back({c.type, c.status, c.reason, c.message, c.lastTransitionTime, c.lastTransitionTime});
      return;
    }
}

void judge_progress(DeploymentStatus& status, const ObjectRef& deployment, const std::vector<SetState>& old, const SetState* fresh, WallTime now) {
  const bool has_deadline = progress_deadline(deployment).has_value();
  if (!has_deadline) status.remove("Progressing");
  const DeploymentCondition* current = status.find("Progressing");
  const bool settled = status.replicas == status.updated && current && current->reason == "NewReplicaSetAvailable";
  if (has_deadline && !settled) {
    const std::string subject = fresh ? "ReplicaSet " + quoted(fresh->name()) : "Deployment " + quoted(deployment.meta().name);
    if (is_complete(deployment, status)) {
      status.set("Progressing", "True", "NewReplicaSetAvailable", subject + " has successfully progressed.", now);
    } else if (has_progressed(DeploymentStatus::of(deployment), status)) {
      // Removed first, so that the time of the last update moves on although the reason stays.
      const std::string since = current && current->status == "True" ? current->transitioned : "";
      status.remove("Progressing");
      status.set("Progressing", "True", "ReplicaSetUpdated", subject + " is progressing.", now);
      if (!since.empty()) status.conditions.back().transitioned = since;
    } else if (has_timed_out(deployment, status, now)) {
      status.set("Progressing", "False", "ProgressDeadlineExceeded", subject + " has timed out progressing.", now);
    }
  }
  copy_failure(status, old, fresh);
}

std::optional<Duration> check_progress_after(const ObjectRef& deployment, const DeploymentStatus& status, WallTime now) {
  const auto deadline = progress_deadline(deployment);
  const DeploymentCondition* current = status.find("Progressing");
  if (!deadline || !current || is_complete(deployment, status) || current->reason == "ProgressDeadlineExceeded") return std::nullopt;
  if (current->reason == "NewReplicaSetAvailable" || current->reason == "DeploymentPaused") return std::nullopt;
  // Times have whole seconds: one more, so that the deadline has surely passed.
  const Duration left = time_or_epoch(current->updated) + *deadline - now + std::chrono::seconds(1);
  return std::max<Duration>(left, std::chrono::milliseconds(100));
}

}  // namespace estiba::controllers
