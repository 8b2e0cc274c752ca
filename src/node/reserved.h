// What of the machine is kept from pods (https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources/): the Node's
// allocatable is that much less than its capacity.
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "model/quota.h"

namespace estiba::node {

/// "cpu=500m,memory=1Gi,ephemeral-storage=10Gi", as the kubelet's --system-reserved and --kube-reserved have it. Errors name what is wrong.
Result<model::ResourceList> parse_reserved(std::string_view text);

/// Takes it from quantities by their names; what would be less than nothing is 0.
void set_apart(std::map<std::string, std::string>& allocatable, const model::ResourceList& reserved);

}  // namespace estiba::node
