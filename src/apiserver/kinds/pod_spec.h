// What pods and pod templates share.
#pragma once
#include <string>
#include <string_view>

#include "apiserver/field_errors.h"
#include "model/json.h"

namespace estiba::apiserver {

/// Defaults of a PodSpec wherever it stands (a pod, a template).
void default_pod_spec(json::Document& doc, json::Node& spec);
/// Defaults of `spec.template` of a workload; the template must exist.
void default_pod_template(json::Document& doc, json::Node& owner_spec);

/// `path` is the spec's ("spec", "spec.template.spec").
void validate_pod_spec(const json::Node& spec, const std::string& path, FieldErrors& errors);
/// A template's spec: as above, and restartPolicy must be one of `policies` ("Always", or "OnFailure" and "Never").
void validate_template_restart(const json::Node& owner_spec, std::initializer_list<std::string_view> policies, FieldErrors& errors);
/// spec.selector must be set and match the template's labels.
void validate_selector_matches_template(const json::Node& spec, FieldErrors& errors);

/// Guaranteed, Burstable or BestEffort (by the requests and limits for cpu and memory).
std::string_view qos_class(const json::Node& spec);

/// The latest tag or no tag gives Always, otherwise IfNotPresent.
std::string_view default_pull_policy(std::string_view image);

}  // namespace estiba::apiserver
