// The kinds that have rules of their own, one line each.
#include "apiserver/custom/strategy.h"
#include "apiserver/kinds/access.h"
#include "apiserver/kinds/core_kinds.h"
#include "apiserver/kinds/definition.h"
#include "apiserver/kinds/devices.h"
#include "apiserver/kinds/networking.h"
#include "apiserver/kinds/pod.h"
#include "apiserver/kinds/pod_update.h"
#include "apiserver/kinds/scaling.h"
#include "apiserver/kinds/service.h"
#include "apiserver/kinds/simple.h"
#include "apiserver/kinds/storage.h"
#include "apiserver/kinds/storage_versions.h"
#include "apiserver/kinds/workloads.h"
#include "apiserver/strategy.h"

namespace estiba::apiserver {
namespace {

using namespace simple;
using namespace workload;

constexpr std::string_view apps = "apps", batch = "batch", rbac = "rbac.authorization.k8s.io", networking_group = "networking.k8s.io",
                           admission = "admissionregistration.k8s.io";

// What field selectors may name of kinds without rules.
constexpr SelectableField signer_field[] = {{"spec.signerName", "", ""}};
constexpr SelectableField pod_certificate_fields[] = {{"spec.signerName", "", ""}, {"spec.podName", "", ""}, {"spec.nodeName", "", ""}};
constexpr SelectableField slice_fields[] = {{"spec.nodeName", "", ""}, {"spec.driver", "", ""}};

// clang-format off
const Strategy rows[] = {
    {.group = "", .resource = "pods", .defaults = pod::defaults, .prepare = pod::prepare, .validate = pod::validate, .validate_status = pod::validate_part, .fields = pod::fields, .generation = true},
    {.group = "", .resource = "services", .defaults = service::defaults, .prepare = service::prepare, .validate = service::validate, .validate_status = service::validate_status, .allocate = service::allocate, .release = service::release, .fields = service::fields, .create_on_update = true},
    {.group = "", .resource = "namespaces", .defaults = default_namespace, .prepare = prepare_namespace, .validate = core::validate_namespace, .validate_status = core::validate_namespace_status, .fields = namespace_fields},
    {.group = "", .resource = "nodes", .defaults = default_node, .prepare = prepare_node, .validate = core::validate_node, .validate_status = core::validate_node_status, .fields = node_fields},
    {.group = "", .resource = "secrets", .defaults = default_secret, .validate = validate_secret, .fields = secret_fields},
    {.group = "", .resource = "serviceaccounts", .prepare = prepare_service_account},
    {.group = "", .resource = "configmaps", .validate = validate_config_map},
    {.group = "", .resource = "events", .validate = validate_event, .fields = event_fields, .create_on_update = true},
    {.group = "events.k8s.io", .resource = "events", .validate = core::validate_new_event, .fields = new_event_fields, .create_on_update = true},
    {.group = "", .resource = "endpoints", .defaults = default_endpoints, .validate = networking::validate_endpoints, .create_on_update = true},
    {.group = "discovery.k8s.io", .resource = "endpointslices", .defaults = default_endpoint_slice, .validate = networking::validate_endpoint_slice, .generation = true},
    {.group = "", .resource = "persistentvolumeclaims", .defaults = default_volume_claim, .prepare = prepare_volume_claim, .validate = storage::validate_volume_claim, .validate_status = storage::validate_volume_claim_status},
    {.group = "", .resource = "persistentvolumes", .defaults = default_volume, .prepare = prepare_volume, .validate = storage::validate_volume},
    {.group = "", .resource = "replicationcontrollers", .defaults = default_replication_controller, .prepare = reset_status, .validate = validate_replication_controller, .validate_status = validate_replica_status, .fields = replica_fields, .generation = true},
    {.group = "", .resource = "limitranges", .defaults = default_limit_range, .prepare = prepare_limit_range, .validate = validate_limit_range, .create_on_update = true},
    {.group = "", .resource = "resourcequotas", .prepare = reset_status, .validate = validate_resource_quota},
    {.group = apps, .resource = "deployments", .defaults = default_deployment, .prepare = reset_status, .validate = validate_deployment, .validate_status = validate_replica_status, .generation = true},
    {.group = "", .resource = "podtemplates", .defaults = default_pod_template_object, .validate = validate_pod_template_object, .generation = true},
    {.group = apps, .resource = "controllerrevisions", .validate = validate_controller_revision},
    {.group = apps, .resource = "replicasets", .defaults = default_replica_set, .prepare = reset_status, .validate = validate_replica_set, .validate_status = validate_replica_status, .fields = replica_fields, .generation = true},
    {.group = apps, .resource = "statefulsets", .defaults = default_stateful_set, .prepare = reset_status, .validate = validate_stateful_set, .validate_status = validate_stateful_set_status, .generation = true},
    {.group = apps, .resource = "daemonsets", .defaults = default_daemon_set, .prepare = prepare_daemon_set, .validate = validate_daemon_set, .validate_status = validate_daemon_set_status, .generation = true},
    {.group = batch, .resource = "jobs", .defaults = default_job, .prepare = prepare_job, .validate = validate_job, .validate_status = validate_job_status, .fields = job_fields, .generation = true},
    {.group = batch, .resource = "cronjobs", .defaults = default_cron_job, .prepare = reset_status, .validate = validate_cron_job, .generation = true},
    {.group = networking_group, .resource = "ingresses", .prepare = reset_status, .validate = networking::validate_ingress, .validate_status = networking::validate_ingress_status, .generation = true},
    {.group = networking_group, .resource = "networkpolicies", .defaults = default_network_policy, .validate = networking::validate_network_policy, .generation = true},
    {.group = networking_group, .resource = "ingressclasses", .defaults = default_ingress_class, .validate = networking::validate_ingress_class, .generation = true},
    {.group = rbac, .resource = "rolebindings", .defaults = default_binding, .validate = access::validate_binding, .create_on_update = true},
    {.group = rbac, .resource = "clusterrolebindings", .defaults = default_binding, .validate = access::validate_binding, .create_on_update = true},
    {.group = "storage.k8s.io", .resource = "storageclasses", .defaults = default_storage_class, .validate = storage::validate_storage_class},
    {.group = "storage.k8s.io", .resource = "volumeattachments", .prepare = reset_status, .validate = storage::validate_volume_attachment, .validate_status = storage::validate_volume_attachment_status},
    {.group = "storage.k8s.io", .resource = "csidrivers", .validate = storage::validate_csi_driver, .generation = true},
    {.group = "storage.k8s.io", .resource = "csinodes", .validate = storage::validate_csi_node},
    {.group = "storage.k8s.io", .resource = "csistoragecapacities", .validate = storage::validate_storage_capacity},
    {.group = "storage.k8s.io", .resource = "volumeattributesclasses", .validate = storage::validate_attributes_class},
    {.group = "scheduling.k8s.io", .resource = "priorityclasses", .defaults = default_priority_class, .validate = validate_priority_class, .generation = true},
    {.group = "autoscaling", .resource = "horizontalpodautoscalers", .defaults = scaling::default_autoscaler, .prepare = scaling::prepare_autoscaler, .validate = scaling::validate_autoscaler, .validate_status = scaling::validate_autoscaler_status},
    {.group = "policy", .resource = "poddisruptionbudgets", .prepare = reset_status, .validate = core::validate_disruption_budget, .validate_status = core::validate_disruption_budget_status, .generation = true},
    {.group = "coordination.k8s.io", .resource = "leases", .validate = core::validate_lease, .create_on_update = true},
    {.group = "certificates.k8s.io", .resource = "certificatesigningrequests", .prepare = prepare_signing_request, .validate = access::validate_signing_request, .validate_status = access::validate_signing_request_status, .fields = signer_field},
    {.group = "certificates.k8s.io", .resource = "clustertrustbundles", .validate = access::validate_trust_bundle, .fields = signer_field},
    {.group = "certificates.k8s.io", .resource = "podcertificaterequests", .prepare = reset_status, .validate = access::validate_pod_certificate_request, .validate_status = access::validate_pod_certificate_request_status, .fields = pod_certificate_fields},
    {.group = admission, .resource = "validatingadmissionpolicies", .defaults = default_admission_policy, .prepare = prepare_validating_policy, .validate = validate_validating_policy, .generation = true},
    {.group = admission, .resource = "validatingadmissionpolicybindings", .defaults = default_admission_binding, .validate = validate_validating_binding, .generation = true},
    {.group = admission, .resource = "mutatingadmissionpolicies", .defaults = default_admission_policy, .validate = validate_mutating_policy, .generation = true},
    {.group = admission, .resource = "mutatingadmissionpolicybindings", .defaults = default_admission_binding, .validate = validate_mutating_binding, .generation = true},
    {.group = networking_group, .resource = "servicecidrs", .prepare = reset_status, .validate = networking::validate_service_cidr},
    {.group = networking_group, .resource = "ipaddresses", .validate = networking::validate_ip_address},
    {.group = rbac, .resource = "roles", .validate = access::validate_role, .create_on_update = true},
    {.group = rbac, .resource = "clusterroles", .validate = access::validate_role, .create_on_update = true},
    {.group = "node.k8s.io", .resource = "runtimeclasses", .validate = core::validate_runtime_class, .create_on_update = true},
    {.group = "coordination.k8s.io", .resource = "leasecandidates", .validate = core::validate_lease_candidate, .create_on_update = true},
    {.group = "resource.k8s.io", .resource = "resourceclaims", .defaults = devices::default_claim, .prepare = reset_status, .validate = devices::validate_claim, .validate_status = devices::validate_claim_status},
    {.group = "resource.k8s.io", .resource = "resourceclaimtemplates", .defaults = devices::default_claim_template, .validate = devices::validate_claim_template},
    {.group = "resource.k8s.io", .resource = "deviceclasses", .validate = devices::validate_class, .generation = true},
    {.group = "resource.k8s.io", .resource = "devicetaintrules", .defaults = devices::default_taint_rule, .prepare = devices::prepare_taint_rule, .generation = true},
    {.group = "resource.k8s.io", .resource = "resourceslices", .defaults = devices::default_slice, .validate = devices::validate_slice, .fields = slice_fields, .generation = true},
    {.group = "internal.apiserver.k8s.io", .resource = "storageversions", .prepare = reset_status, .validate = storage_versions::validate_storage_version, .validate_status = storage_versions::validate_storage_version_status},
    {.group = "storagemigration.k8s.io", .resource = "storageversionmigrations", .prepare = reset_status, .validate = storage_versions::validate_migration, .validate_status = storage_versions::validate_migration_status},
    {.group = admission, .resource = "mutatingwebhookconfigurations", .validate = validate_webhook_configuration, .generation = true},
    {.group = admission, .resource = "validatingwebhookconfigurations", .validate = validate_webhook_configuration, .generation = true},
    {.group = "flowcontrol.apiserver.k8s.io", .resource = "flowschemas", .defaults = default_flow_schema, .prepare = reset_status, .validate = validate_flow_schema, .generation = true},
    {.group = "flowcontrol.apiserver.k8s.io", .resource = "prioritylevelconfigurations", .defaults = default_priority_level, .prepare = reset_status, .validate = validate_priority_level, .generation = true},
    {.group = "apiregistration.k8s.io", .resource = "apiservices", .defaults = default_api_service, .prepare = prepare_api_service, .validate = validate_api_service, .validate_status = validate_api_service_status},
    {.group = "apiextensions.k8s.io", .resource = "customresourcedefinitions", .defaults = definition::defaults, .prepare = definition::prepare, .validate = definition::validate, .ending = definition::ending, .generation = true},
};
// clang-format on
const Strategy plain{};
const Strategy plain_with_status{.prepare = reset_status};

}  // namespace

const Strategy& strategy_of(const Resource& resource) {
  if (model::custom_of(resource)) return custom_strategy();
  for (const Strategy& row : rows) {
    if (row.resource == resource.plural && row.group == resource.group) return row;
  }
  return resource.find_subresource("status") ? plain_with_status : plain;
}

}  // namespace estiba::apiserver
