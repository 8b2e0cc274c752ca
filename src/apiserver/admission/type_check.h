// What the expressions of a ValidatingAdmissionPolicy would do with fields that the kinds it names do not have: warnings in its
// status. (Kubernetes: apiserver/pkg/admission/plugin/policy/validating/typechecking.go; there a controller writes them.)
#pragma once
#include <string>
#include <vector>

#include "apiserver/cluster.h"
#include "model/json.h"

namespace estiba::apiserver::admission {

struct ExpressionWarning {
  std::string field, warning;
};

/// Of the expressions and message expressions of a policy, for at most ten of the kinds that its rules name in full.
std::vector<ExpressionWarning> check_types(const Cluster& cluster, const json::Node& policy);

}  // namespace estiba::apiserver::admission
