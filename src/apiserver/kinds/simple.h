// Kinds whose rules are a few lines each.
#pragma once
#include "apiserver/strategy.h"

namespace estiba::apiserver::simple {

// Namespace: the finalizer `kubernetes`, its name as a label, its phase.
void default_namespace(json::Document& doc, json::Node& object);
void prepare_namespace(Draft& draft);
extern const SelectableField namespace_fields[1];

// Node
void prepare_node(Draft& draft);
extern const SelectableField node_fields[1];

// Secret and ConfigMap
void default_secret(json::Document& doc, json::Node& object);
void validate_secret(Draft& draft);
void validate_config_map(Draft& draft);
extern const SelectableField secret_fields[1];

// Event
void validate_event(Draft& draft);
extern const SelectableField event_fields[11], new_event_fields[11];

// Endpoints, EndpointSlice
void default_endpoints(json::Document& doc, json::Node& object);
void default_endpoint_slice(json::Document& doc, json::Node& object);

// LimitRange: the defaults of containers follow from each other and from the bounds.
void default_limit_range(json::Document& doc, json::Node& object);
void validate_limit_range(Draft& draft);

// ResourceQuota: names that are counted, scopes that fit them and stay.
void validate_resource_quota(Draft& draft);

// Storage
void default_volume_claim(json::Document& doc, json::Node& object);
void prepare_volume_claim(Draft& draft);
void default_volume(json::Document& doc, json::Node& object);
void prepare_volume(Draft& draft);
void default_storage_class(json::Document& doc, json::Node& object);

// Admission: webhooks, policies and their bindings.
void validate_webhook_configuration(Draft& draft);
void default_admission_policy(json::Document& doc, json::Node& object);
void default_admission_binding(json::Document& doc, json::Node& object);
/// What the types of the kinds that a policy names say of its expressions goes into its status.
void prepare_validating_policy(Draft& draft);
void validate_validating_policy(Draft& draft);
void validate_mutating_policy(Draft& draft);
void validate_validating_binding(Draft& draft);
void validate_mutating_binding(Draft& draft);

// Networking
void default_network_policy(json::Document& doc, json::Node& object);
void default_ingress_class(json::Document& doc, json::Node& object);

// RBAC
void default_binding(json::Document& doc, json::Node& object);

// Scheduling, autoscaling, coordination, certificates
void default_api_service(json::Document& doc, json::Node& object);
void prepare_api_service(Draft& draft);
void validate_api_service(Draft& draft);
void validate_api_service_status(Draft& draft);

void default_flow_schema(json::Document& doc, json::Node& object);
void validate_flow_schema(Draft& draft);
void default_priority_level(json::Document& doc, json::Node& object);
void validate_priority_level(Draft& draft);

void default_priority_class(json::Document& doc, json::Node& object);
void validate_priority_class(Draft& draft);
void prepare_signing_request(Draft& draft);
/// A limit range may go without a name.
void prepare_limit_range(Draft& draft);
/// References to Secrets are names alone.
void prepare_service_account(Draft& draft);
/// What a node has is what it can give, unless it says otherwise.
void default_node(json::Document& doc, json::Node& object);

/// Kinds with a status that clients do not set: empty when created, kept by updates.
void reset_status(Draft& draft);

}  // namespace estiba::apiserver::simple
