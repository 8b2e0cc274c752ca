// A pod's control group from outside its shim, which has made it and will remove it.
#pragma once
#include <string>

#include "base/result.h"

namespace estiba::runtime {

/// Whether this machine's control groups limit huge pages (the hugetlb controller).
bool limits_huge_pages();
/// Whether they are of version 2 and limit swap apart from memory. Asked for when there is a group for a pod.
bool limits_swap();

/// Writes the limits that `resources` (JSON, as in PodOptions::resources) has, and leaves the others. Errors name the file.
Result<void> update_pod_group(const std::string& cgroup, const std::string& resources);

}  // namespace estiba::runtime
