// The parts of a PodSpec's validation, one file each (pkg/apis/core/validation/validation.go); validate_pod_spec() calls them.
#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "apiserver/field_errors.h"
#include "model/json.h"

namespace estiba::apiserver {

/// What the parts know of the pod they look at.
struct PodScope {
  const json::Node& spec;
  std::string path;  ///< of the spec: "spec", "spec.template.spec"
  FieldErrors& errors;
  const json::Node* metadata = nullptr;                                ///< of a pod itself; null for a template
  std::map<std::string, const json::Node*, std::less<>> volumes = {};  ///< by name
  std::set<std::string, std::less<>> claims = {};                      ///< the names in spec.resourceClaims

  bool host_users() const;
  bool host_network() const;
  int64_t grace() const;  ///< terminationGracePeriodSeconds
};

void validate_volumes(PodScope& pod);
void validate_resource_claims(PodScope& pod);
/// containers, initContainers and ephemeralContainers.
void validate_containers(PodScope& pod);
/// affinity, tolerations, topologySpreadConstraints, schedulingGates.
void validate_scheduling(PodScope& pod);
/// securityContext of the pod; what the operating system allows.
void validate_pod_security(PodScope& pod);
void validate_container_security(const PodScope& pod, const json::Node& container, const std::string& path);

/// requests and limits, of a container or of a pod.
void validate_resources(const PodScope& pod, const json::Node& resources, const std::string& path, bool of_pod);

/// A probe's or hook's handler. `grace` bounds a sleep.
void validate_handler(const json::Node& action, const std::string& path, int64_t grace, FieldErrors& errors);

/// fieldRef and resourceFieldRef, in an environment variable or a file of a volume.
void validate_field_ref(const json::Node& ref, const std::string& path, bool volume, FieldErrors& errors);
void validate_resource_field_ref(const json::Node& ref, const std::string& path, bool volume, FieldErrors& errors);

/// A NodeSelector: its terms with matchExpressions and matchFields.
void validate_node_selector(const json::Node& selector, const std::string& path, FieldErrors& errors);
void validate_tolerations(const json::Node& holder, const std::string& path, FieldErrors& errors);

}  // namespace estiba::apiserver
