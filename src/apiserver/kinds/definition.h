// CustomResourceDefinition: defaults, status and the rules of what it may say.
#pragma once
#include <string>
#include <vector>

#include "apiserver/strategy.h"

namespace estiba::apiserver::definition {

void defaults(json::Document& doc, json::Node& object);
/// The status that follows from the definition and the others of its group: accepted names, stored versions, conditions.
void prepare(Draft& draft);
void validate(Draft& draft);
/// What the first deletion adds: the finalizer that lets its objects go first, and the condition that says so.
void ending(Cluster& cluster, json::Document& doc, json::Node& object);

// The parts of `validate`.

/// "" when the group needs no approval or has it; else what is missing, and which condition says so.
struct Approval {
  bool needed = false;
  std::string_view status, reason;  ///< of the condition KubernetesAPIApprovalPolicyConformant
  std::string message;
  bool missing() const { return reason == "MissingAnnotation"; }
  bool refused() const { return reason == "MissingAnnotation" || reason == "InvalidAnnotation"; }
};
Approval approval_of(const json::Node& object);
inline constexpr std::string_view approval_annotation = "api-approved.kubernetes.io";

/// One openAPIV3Schema; `old` is the same version's stored schema, or null.
void check_schema(const json::Node& schema, const std::string& path, bool status_enabled, FieldErrors& errors);
/// The rules of structural schemas alone, sorted.
void check_structural(const json::Node& schema, const std::string& path, FieldErrors& errors);
/// Whether the defaults in a schema are valid under it.
void check_defaults(const json::Node& schema, const std::string& path, FieldErrors& errors);
/// What is written in x-kubernetes-validations, as far as it is no expression.
void check_rule_texts(const json::Node& schema, const std::string& path, FieldErrors& errors);

}  // namespace estiba::apiserver::definition
