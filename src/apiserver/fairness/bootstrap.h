// The FlowSchemas and PriorityLevelConfigurations that every cluster has (k8s.io/apiserver, pkg/apis/flowcontrol/bootstrap).
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace estiba::apiserver {

struct FairnessObject {
  std::string_view resource;  ///< flowschemas or prioritylevelconfigurations
  std::string_view name;
  bool mandatory = false;  ///< comes back when it is deleted or changed; others only while their annotation says so
  std::string_view spec;   ///< JSON

  std::string json() const;  ///< the whole object
};
std::span<const FairnessObject> fairness_objects();
/// Null: it is none of them.
const FairnessObject* find_fairness_object(std::string_view resource, std::string_view name);

}  // namespace estiba::apiserver
