#include "controllers/table.h"

namespace estiba::controllers {

static constexpr ControllerEntry table[] = {
    {"serviceaccount", make_service_account_controller},
    {"root-ca", make_root_ca_controller},
    {"deployment", make_deployment_controller},
    {"replicaset", make_replica_set_controller},
    {"job", make_job_controller},
    {"cronjob", make_cron_job_controller},
    {"ttl-after-finished", make_ttl_after_finished},
    {"replicationcontroller", make_replication_controller},
    {"statefulset", make_stateful_set_controller},
    {"daemonset", make_daemon_set_controller},
    {"disruption", make_disruption_controller},
    {"clusterrole-aggregation", make_cluster_role_aggregation},
    {"endpointslice", make_endpoint_slice_controller},
    {"endpoints", make_endpoints_controller},
    {"service-lb", make_service_load_balancer},
    {"endpointslicemirroring", make_endpoint_slice_mirroring},
    {"namespace", make_namespace_controller},
    {"node-lifecycle", make_node_lifecycle_controller},
    {"node-ipam", make_node_ipam},
    {"pod-garbage-collector", make_pod_collector},
    {"garbage-collector", make_garbage_collector},
    {"event-expiry", make_event_expiry},
    {"resourcequota", make_resource_quota_controller},
    {"custom-resource-definition", make_custom_resource_controller},
    {"csrapproving", make_certificate_approver},
    {"csrapproving-serving", make_serving_approver},
    {"csrsigning", make_certificate_signer},
    {"csrcleaner", make_certificate_cleaner},
    {"podcertificaterequest-cleaner", make_pod_certificate_cleaner},
    {"persistentvolume-binder", make_volume_binder},
    {"persistentvolume-attach-detach", make_attach_detach},
    {"pvc-protection", make_claim_protection},
    {"pv-protection", make_volume_protection},
    {"vac-protection", make_attributes_class_protection},
    {"ephemeral-volume", make_ephemeral_volume_controller},
    {"resource-claim", make_resource_claim_controller},
    {"device-taint-eviction", make_device_taint_eviction},
    {"storage-version-migrator", make_storage_version_migration},
    {"local-provisioner", make_local_provisioner},
    {"horizontal-pod-autoscaler", make_autoscaler},
    {"service-cidr", make_service_cidr_controller},
    {"service-catalog-broker", make_service_broker_controller},
    {"service-catalog-instance", make_service_instance_controller},
    {"service-catalog-binding", make_service_binding_controller},
};

std::span<const ControllerEntry> controller_table() { return table; }

}  // namespace estiba::controllers
