#include "runtime/pod_group.h"

#include <algorithm>

#include "base/strings.h"
#include "model/json.h"
#include "os/cgroup.h"
#include "os/file.h"
#include "runtime/spec.h"

namespace estiba::runtime {

bool limits_huge_pages() {
  static const bool does = [] {
    const auto host = os::cgroup_host();
    if (!host) return false;
    if ((*host)->mode == os::CgroupMode::v1) return (*host)->v1_mount("hugetlb") != nullptr;
    const std::string list = os::read_file((*host)->unified + "/cgroup.controllers").value_or(std::string());
    const auto names = split(trim(list), ' ');
    return std::ranges::find(names, "hugetlb") != names.end();
  }();
  return does;
}

Result<void> update_pod_group(const std::string& cgroup, const std::string& resources) {
  const auto group = TRY(os::Cgroup::at(cgroup));
  const auto document = TRY(json::Document::parse(resources));
  return group.apply(TRY(parse_resources(document.root(), "resources")));
}

}  // namespace estiba::runtime
