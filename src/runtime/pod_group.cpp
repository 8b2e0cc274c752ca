#include "runtime/pod_group.h"

#include "model/json.h"
#include "os/cgroup.h"
#include "runtime/spec.h"

namespace estiba::runtime {

Result<void> update_pod_group(const std::string& cgroup, const std::string& resources) {
  const auto group = TRY(os::Cgroup::at(cgroup));
  const auto document = TRY(json::Document::parse(resources));
  return group.apply(TRY(parse_resources(document.root(), "resources")));
}

}  // namespace estiba::runtime
