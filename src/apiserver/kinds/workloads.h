// Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers, Jobs and CronJobs.
#pragma once
#include "apiserver/strategy.h"

namespace estiba::apiserver::workload {

void default_deployment(json::Document& doc, json::Node& object);
void default_replica_set(json::Document& doc, json::Node& object);
void default_stateful_set(json::Document& doc, json::Node& object);
void default_daemon_set(json::Document& doc, json::Node& object);
void default_replication_controller(json::Document& doc, json::Node& object);
void default_job(json::Document& doc, json::Node& object);
void default_cron_job(json::Document& doc, json::Node& object);
void default_pod_template_object(json::Document& doc, json::Node& object);

void validate_deployment(Draft& draft);
void validate_replica_set(Draft& draft);
void validate_stateful_set(Draft& draft);
void validate_daemon_set(Draft& draft);
void validate_replication_controller(Draft& draft);
void validate_job(Draft& draft);
void validate_cron_job(Draft& draft);
void validate_pod_template_object(Draft& draft);
void validate_controller_revision(Draft& draft);

/// Of writes of the status: counts that fit each other.
void validate_replica_status(Draft& draft);
void validate_stateful_set_status(Draft& draft);
void validate_daemon_set_status(Draft& draft);
void validate_job_status(Draft& draft);

/// Counts the changes of the template in the annotation that was a field once.
void prepare_daemon_set(Draft& draft);
/// A new job's selector and labels, by its uid.
void prepare_job(Draft& draft);

extern const SelectableField replica_fields[1];
extern const SelectableField job_fields[1];

}  // namespace estiba::apiserver::workload
