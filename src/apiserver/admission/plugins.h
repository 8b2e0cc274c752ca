// The entry points of the plugins; table.cpp puts them in order.
#pragma once
#include "apiserver/admission/admission.h"

namespace estiba::apiserver::admission {

/// Writes need their namespace; nothing new is made in one that ends; some namespaces stay.
Result<void> namespace_lifecycle(Attributes& attributes);

/// Containers get the defaults of their namespace's LimitRanges …
Result<void> apply_limit_defaults(Attributes& attributes);
/// … and pods, containers and claims keep to their limits.
Result<void> check_limits(Attributes& attributes);

/// Pods run as a service account that exists, and find its token mounted.
Result<void> assign_service_account(Attributes& attributes);

/// A node's own credentials write that Node, its pods, its lease and little else.
Result<void> restrict_node(Attributes& attributes);
/// The part of it that concerns what a node asks for: tokens, evictions, certificates, slices of devices.
Result<void> restrict_node_requests(const Attributes& attributes, const std::string& node);

/// New nodes take no pods until they have said that they are ready.
Result<void> taint_new_node(Attributes& attributes);

/// Pods keep to the Pod Security Standard that their namespace's labels name; workloads are warned about.
Result<void> check_pod_security(Attributes& attributes);

/// The class of a pod becomes its priority …
Result<void> assign_priority(Attributes& attributes);
/// … and at most one class is the default.
Result<void> check_priority_class(Attributes& attributes);

/// Pods stay for five minutes on a node that is lost.
Result<void> add_default_tolerations(Attributes& attributes);

/// Claims without a class get the default one.
Result<void> assign_storage_class(Attributes& attributes);
Result<void> protect_storage_in_use(Attributes& attributes);

/// Ingresses without a class get the default one.
Result<void> assign_ingress_class(Attributes& attributes);

/// Pods get the overhead and the scheduling rules of their RuntimeClass …
Result<void> apply_runtime_class(Attributes& attributes);
/// … and no other overhead.
Result<void> check_runtime_class(Attributes& attributes);

/// Pods change only in ways that their node declares to know …
Result<void> check_declared_features(Attributes& attributes);
/// … and are resized within what their node has.
Result<void> check_pod_resize(Attributes& attributes);

/// Certificates are approved and signed by those who may act for their signer …
Result<void> check_certificate_approval(Attributes& attributes);
Result<void> check_certificate_signing(Attributes& attributes);
/// … and none makes its owner a master.
Result<void> check_certificate_subject(Attributes& attributes);

/// Nobody grants by a role or a binding what he does not have himself, unless he may escalate or bind.
Result<void> check_escalation(Attributes& attributes);

/// Claims grow only where their class lets them.
Result<void> check_claim_resize(Attributes& attributes);

/// Instances and bindings of the service catalogue get their identifiers …
Result<void> complete_catalog_object(Attributes& attributes);
/// … and are not changed while their broker is at work; brokers are asked only with Secrets that their makers may read.
Result<void> check_catalog_object(Attributes& attributes);

/// Policies of the cluster's users change the object …
Task<Result<void>> apply_mutating_policies(Attributes& attributes);
/// … or refuse it, warn about it, note it.
Task<Result<void>> apply_validating_policies(Attributes& attributes);

/// Webhooks that the cluster's users have registered change the object, one after the other …
Task<Result<void>> ask_mutating_webhooks(Attributes& attributes);
/// … and refuse it, all at once.
Task<Result<void>> ask_validating_webhooks(Attributes& attributes);

/// What a write uses up is charged to the quotas of its namespace; the last thing before it is stored.
Task<Result<void>> charge_quotas(Attributes& attributes);

}  // namespace estiba::apiserver::admission
