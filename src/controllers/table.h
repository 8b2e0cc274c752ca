// The makers of all controllers; table.cpp lists them.
#pragma once
#include <memory>

#include "controllers/framework.h"

namespace estiba::controllers {

std::unique_ptr<Controller> make_deployment_controller(Context& context);
std::unique_ptr<Controller> make_replica_set_controller(Context& context);
std::unique_ptr<Controller> make_job_controller(Context& context);
std::unique_ptr<Controller> make_cron_job_controller(Context& context);
std::unique_ptr<Controller> make_ttl_after_finished(Context& context);
std::unique_ptr<Controller> make_replication_controller(Context& context);
std::unique_ptr<Controller> make_stateful_set_controller(Context& context);
std::unique_ptr<Controller> make_daemon_set_controller(Context& context);
std::unique_ptr<Controller> make_disruption_controller(Context& context);
std::unique_ptr<Controller> make_cluster_role_aggregation(Context& context);
std::unique_ptr<Controller> make_endpoint_slice_controller(Context& context);
std::unique_ptr<Controller> make_endpoints_controller(Context& context);
std::unique_ptr<Controller> make_service_load_balancer(Context& context);
/// In its place where there is a pool of addresses.
std::unique_ptr<Controller> make_service_address_pool(Context& context);
std::unique_ptr<Controller> make_endpoint_slice_mirroring(Context& context);
std::unique_ptr<Controller> make_namespace_controller(Context& context);
std::unique_ptr<Controller> make_service_account_controller(Context& context);
std::unique_ptr<Controller> make_root_ca_controller(Context& context);
std::unique_ptr<Controller> make_node_lifecycle_controller(Context& context);
std::unique_ptr<Controller> make_node_ipam(Context& context);
std::unique_ptr<Controller> make_serving_approver(Context& context);
std::unique_ptr<Controller> make_garbage_collector(Context& context);
std::unique_ptr<Controller> make_pod_collector(Context& context);
std::unique_ptr<Controller> make_event_expiry(Context& context);
std::unique_ptr<Controller> make_resource_quota_controller(Context& context);
std::unique_ptr<Controller> make_custom_resource_controller(Context& context);
std::unique_ptr<Controller> make_certificate_approver(Context& context);
std::unique_ptr<Controller> make_certificate_signer(Context& context);
std::unique_ptr<Controller> make_certificate_cleaner(Context& context);
std::unique_ptr<Controller> make_pod_certificate_cleaner(Context& context);
std::unique_ptr<Controller> make_volume_binder(Context& context);
std::unique_ptr<Controller> make_attach_detach(Context& context);
std::unique_ptr<Controller> make_claim_protection(Context& context);
std::unique_ptr<Controller> make_volume_protection(Context& context);
std::unique_ptr<Controller> make_attributes_class_protection(Context& context);
std::unique_ptr<Controller> make_ephemeral_volume_controller(Context& context);
std::unique_ptr<Controller> make_resource_claim_controller(Context& context);
std::unique_ptr<Controller> make_device_taint_eviction(Context& context);
std::unique_ptr<Controller> make_storage_version_migration(Context& context);
std::unique_ptr<Controller> make_local_provisioner(Context& context);
std::unique_ptr<Controller> make_autoscaler(Context& context);
std::unique_ptr<Controller> make_service_cidr_controller(Context& context);
std::unique_ptr<Controller> make_service_broker_controller(Context& context);
std::unique_ptr<Controller> make_service_instance_controller(Context& context);
std::unique_ptr<Controller> make_service_binding_controller(Context& context);

}  // namespace estiba::controllers
