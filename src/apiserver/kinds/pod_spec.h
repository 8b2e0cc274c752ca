// What pods and pod templates share.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/field_errors.h"
#include "model/json.h"

namespace estiba::apiserver {

/// Defaults of a PodSpec wherever it stands (a pod, a template).
void default_pod_spec(json::Document& doc, json::Node& spec);
/// Defaults of `spec.template` of a workload; the template must exist.
void default_pod_template(json::Document& doc, json::Node& owner_spec);

/// `path` is the spec's ("spec", "spec.template.spec"); `metadata` is the pod's, and null for a template.
void validate_pod_spec(const json::Node& spec, const std::string& path, FieldErrors& errors, const json::Node* metadata = nullptr);
/// A PodTemplateSpec at `path` ("spec.template"), which must be there.
void validate_pod_template(const json::Node* made, const std::string& path, FieldErrors& errors, std::vector<std::string>& warnings);
/// Whether a LabelSelector matches these labels (null: none).
bool selects(const json::Node& selector, const json::Node* labels);

/// Guaranteed, Burstable or BestEffort (by the requests and limits for cpu and memory).
std::string_view qos_class(const json::Node& spec);

/// The latest tag or no tag gives Always, otherwise IfNotPresent.
std::string_view default_pull_policy(std::string_view image);

}  // namespace estiba::apiserver
