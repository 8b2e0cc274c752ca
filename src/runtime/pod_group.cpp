#include "runtime/pod_group.h"

#include <algorithm>
#include <atomic>

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

// The root has no such file: the groups below it tell, once there are any that count memory.
bool limits_swap() {
  static std::atomic<bool> known = false, does = false;
  if (known) return does;
  const auto host = os::cgroup_host();
  if (!host) return false;
  if ((*host)->mode == os::CgroupMode::v2) {
    const auto groups = os::list_dir((*host)->unified);
    const auto has = [&](const char* file) {
      return groups && std::ranges::any_of(
                           *groups, [&](const os::DirEntry& entry) { return os::exists((*host)->unified + "/" + entry.name + file); });
    };
    if (!has("/memory.max")) return false;
    does = has("/memory.swap.max");
  }
  known = true;
  return does;
}

Result<void> update_pod_group(const std::string& cgroup, const std::string& resources) {
  const auto group = TRY(os::Cgroup::at(cgroup));
  const auto document = TRY(json::Document::parse(resources));
  return group.apply(TRY(parse_resources(document.root(), "resources")));
}

}  // namespace estiba::runtime
