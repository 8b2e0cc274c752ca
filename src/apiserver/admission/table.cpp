// The plugins in Kubernetes' order (its AllOrderedPlugins; RoleEscalation is there a part of the storage of roles). ResourceQuota stays
// last so that nothing is charged for what another plugin refuses.
#include "apiserver/admission/plugins.h"

namespace estiba::apiserver::admission {

static constexpr Plugin table[] = {
    {.name = "NamespaceLifecycle", .mutate = namespace_lifecycle},
    {.name = "LimitRanger", .mutate = apply_limit_defaults, .validate = check_limits},
    {.name = "ServiceAccount", .mutate = assign_service_account},
    {.name = "NodeRestriction", .mutate = restrict_node},
    {.name = "TaintNodesByCondition", .mutate = taint_new_node},
    {.name = "PodSecurity", .validate = check_pod_security},
    {.name = "Priority", .mutate = assign_priority, .validate = check_priority_class},
    {.name = "DefaultTolerationSeconds", .mutate = add_default_tolerations},
    {.name = "DefaultStorageClass", .mutate = assign_storage_class},
    {.name = "StorageObjectInUseProtection", .mutate = protect_storage_in_use},
    {.name = "PersistentVolumeClaimResize", .validate = check_claim_resize},
    {.name = "RuntimeClass", .mutate = apply_runtime_class, .validate = check_runtime_class},
    {.name = "CertificateApproval", .validate = check_certificate_approval},
    {.name = "CertificateSigning", .validate = check_certificate_signing},
    {.name = "CertificateSubjectRestriction", .validate = check_certificate_subject},
    {.name = "RoleEscalation", .validate = check_escalation},
    {.name = "DefaultIngressClass", .mutate = assign_ingress_class},
    {.name = "NodeDeclaredFeatureValidator", .validate = check_declared_features},
    {.name = "PodResizeValidator", .validate = check_pod_resize},
    {.name = "ServiceCatalog", .mutate = complete_catalog_object, .validate = check_catalog_object},
    {.name = "MutatingAdmissionPolicy", .mutate_waiting = apply_mutating_policies},
    {.name = "MutatingAdmissionWebhook", .mutate_waiting = ask_mutating_webhooks},
    {.name = "ValidatingAdmissionPolicy", .validate_waiting = apply_validating_policies},
    {.name = "ValidatingAdmissionWebhook", .validate_waiting = ask_validating_webhooks},
    {.name = "ResourceQuota", .validate_waiting = charge_quotas},
};

std::span<const Plugin> plugins() { return table; }

}  // namespace estiba::apiserver::admission
