// The kinds that have rules of their own, one line each.
#include "apiserver/custom/strategy.h"
#include "apiserver/kinds/definition.h"
#include "apiserver/kinds/pod.h"
#include "apiserver/kinds/pod_update.h"
#include "apiserver/kinds/service.h"
#include "apiserver/kinds/simple.h"
#include "apiserver/kinds/storage.h"
#include "apiserver/kinds/workloads.h"
#include "apiserver/strategy.h"

namespace estiba::apiserver {
namespace {

using namespace simple;
using namespace workload;

constexpr std::string_view apps = "apps", batch = "batch", rbac = "rbac.authorization.k8s.io", networking = "networking.k8s.io",
                           admission = "admissionregistration.k8s.io";

// What field selectors may name of kinds without rules.
constexpr SelectableField signer_field[] = {{"spec.signerName", "", ""}};
constexpr SelectableField pod_certificate_fields[] = {{"spec.signerName", "", ""}, {"spec.podName", "", ""}, {"spec.nodeName", "", ""}};
constexpr SelectableField slice_fields[] = {{"spec.nodeName", "", ""}, {"spec.driver", "", ""}};

// clang-format off
const Strategy rows[] = {
    {.group = "", .resource = "pods", .defaults = pod::defaults, .prepare = pod::prepare, .validate = pod::validate, .validate_status = pod::validate_part, .fields = pod::fields, .generation = true},
    {.group = "", .resource = "services", .defaults = service::defaults, .prepare = service::prepare, .validate = service::validate, .allocate = service::allocate, .undo = service::undo, .committed = service::committed, .fields = service::fields},
    {.group = "", .resource = "namespaces", .defaults = default_namespace, .prepare = prepare_namespace, .fields = namespace_fields},
    {.group = "", .resource = "nodes", .prepare = prepare_node, .validate = validate_node, .fields = node_fields},
    {.group = "", .resource = "secrets", .defaults = default_secret, .validate = validate_secret, .fields = secret_fields},
    {.group = "", .resource = "configmaps", .validate = validate_config_map},
    {.group = "", .resource = "events", .validate = validate_event, .fields = event_fields, .create_on_update = true},
    {.group = "events.k8s.io", .resource = "events", .fields = event_fields, .create_on_update = true},
    {.group = "", .resource = "endpoints", .defaults = default_endpoints, .create_on_update = true},
    {.group = "discovery.k8s.io", .resource = "endpointslices", .defaults = default_endpoint_slice, .validate = validate_endpoint_slice, .generation = true},
    {.group = "", .resource = "persistentvolumeclaims", .defaults = default_volume_claim, .prepare = prepare_volume_claim, .validate = storage::validate_volume_claim, .validate_status = storage::validate_volume_claim_status},
    {.group = "", .resource = "persistentvolumes", .defaults = default_volume, .prepare = prepare_volume, .validate = storage::validate_volume},
    {.group = "", .resource = "replicationcontrollers", .defaults = default_replication_controller, .prepare = reset_status, .validate = validate_replication_controller, .validate_status = validate_replica_status, .fields = replica_fields, .generation = true},
    {.group = "", .resource = "limitranges", .defaults = default_limit_range, .validate = validate_limit_range},
    {.group = "", .resource = "resourcequotas", .prepare = reset_status, .validate = validate_resource_quota},
    {.group = apps, .resource = "deployments", .defaults = default_deployment, .prepare = reset_status, .validate = validate_deployment, .validate_status = validate_replica_status, .generation = true},
    {.group = "", .resource = "podtemplates", .defaults = default_pod_template_object, .validate = validate_pod_template_object, .generation = true},
    {.group = apps, .resource = "controllerrevisions", .validate = validate_controller_revision},
    {.group = apps, .resource = "replicasets", .defaults = default_replica_set, .prepare = reset_status, .validate = validate_replica_set, .validate_status = validate_replica_status, .fields = replica_fields, .generation = true},
    {.group = apps, .resource = "statefulsets", .defaults = default_stateful_set, .prepare = reset_status, .validate = validate_stateful_set, .validate_status = validate_stateful_set_status, .generation = true},
    {.group = apps, .resource = "daemonsets", .defaults = default_daemon_set, .prepare = reset_status, .validate = validate_daemon_set, .validate_status = validate_daemon_set_status, .generation = true},
    {.group = batch, .resource = "jobs", .defaults = default_job, .prepare = prepare_job, .validate = validate_job, .validate_status = validate_job_status, .fields = job_fields, .generation = true},
    {.group = batch, .resource = "cronjobs", .defaults = default_cron_job, .prepare = reset_status, .validate = validate_cron_job, .generation = true},
    {.group = networking, .resource = "ingresses", .prepare = reset_status, .validate = validate_ingress, .generation = true},
    {.group = networking, .resource = "networkpolicies", .defaults = default_network_policy, .generation = true},
    {.group = networking, .resource = "ingressclasses", .defaults = default_ingress_class, .generation = true},
    {.group = rbac, .resource = "rolebindings", .defaults = default_binding, .validate = validate_binding},
    {.group = rbac, .resource = "clusterrolebindings", .defaults = default_binding, .validate = validate_binding},
    {.group = "storage.k8s.io", .resource = "storageclasses", .defaults = default_storage_class, .validate = storage::validate_storage_class},
    {.group = "storage.k8s.io", .resource = "volumeattachments", .prepare = reset_status, .validate = storage::validate_volume_attachment, .validate_status = storage::validate_volume_attachment_status},
    {.group = "storage.k8s.io", .resource = "csidrivers", .validate = storage::validate_csi_driver, .generation = true},
    {.group = "storage.k8s.io", .resource = "csinodes", .validate = storage::validate_csi_node},
    {.group = "storage.k8s.io", .resource = "csistoragecapacities", .validate = storage::validate_storage_capacity},
    {.group = "storage.k8s.io", .resource = "volumeattributesclasses", .validate = storage::validate_attributes_class},
    {.group = "scheduling.k8s.io", .resource = "priorityclasses", .defaults = default_priority_class, .validate = validate_priority_class, .generation = true},
    {.group = "autoscaling", .resource = "horizontalpodautoscalers", .defaults = default_autoscaler, .prepare = reset_status},
    {.group = "policy", .resource = "poddisruptionbudgets", .prepare = reset_status, .validate = validate_disruption_budget, .generation = true},
    {.group = "coordination.k8s.io", .resource = "leases", .validate = validate_lease, .create_on_update = true},
    {.group = "certificates.k8s.io", .resource = "certificatesigningrequests", .prepare = prepare_signing_request, .fields = signer_field},
    {.group = "certificates.k8s.io", .resource = "clustertrustbundles", .fields = signer_field},
    {.group = "certificates.k8s.io", .resource = "podcertificaterequests", .prepare = reset_status, .fields = pod_certificate_fields},
    {.group = "resource.k8s.io", .resource = "resourceslices", .fields = slice_fields},
    {.group = admission, .resource = "validatingadmissionpolicies", .defaults = default_admission_policy, .prepare = prepare_validating_policy, .validate = validate_validating_policy, .generation = true},
    {.group = admission, .resource = "validatingadmissionpolicybindings", .defaults = default_admission_binding, .validate = validate_validating_binding, .generation = true},
    {.group = admission, .resource = "mutatingadmissionpolicies", .defaults = default_admission_policy, .validate = validate_mutating_policy, .generation = true},
    {.group = admission, .resource = "mutatingadmissionpolicybindings", .defaults = default_admission_binding, .validate = validate_mutating_binding, .generation = true},
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
