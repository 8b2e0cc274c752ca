#include "node/not_honoured.h"

namespace estiba::node {

using namespace model::core_v1;

namespace {

// Calls visit(path, container) for every container, also those that kubectl debug has added.
template <class F>
void each_container(const Pod& pod, F&& visit) {
  const auto walk = [&](const char* list, const auto& containers) {
    for (size_t i = 0; i < containers.size(); ++i) visit(std::string("spec.") + list + "[" + std::to_string(i) + "]", containers[i]);
  };
  walk("initContainers", pod.spec.initContainers);
  walk("containers", pod.spec.containers);
  walk("ephemeralContainers", pod.spec.ephemeralContainers);
}

template <class Context>
void look(const std::string& path, const Context& security, std::vector<std::string>& out) {
  if (!security) return;
  if (security->seLinuxOptions) out.push_back(path + ".seLinuxOptions: this node does not use SELinux");
  if (security->windowsOptions) out.push_back(path + ".windowsOptions: this node runs Linux");
}

template <class Context>
bool confined(const Context& security) {
  return security && security->appArmorProfile && security->appArmorProfile->type != "Unconfined";
}

}  // namespace

std::vector<std::string> not_honoured(const Pod& pod) {
  std::vector<std::string> out;
  look("spec.securityContext", pod.spec.securityContext, out);
  if (pod.spec.securityContext && !pod.spec.securityContext->seLinuxChangePolicy.empty())
    out.push_back("spec.securityContext.seLinuxChangePolicy: this node does not use SELinux");
  each_container(pod,
                 [&](const std::string& path, const auto& container) { look(path + ".securityContext", container.securityContext, out); });
  if (pod.spec.schedulingGroup) out.push_back("spec.schedulingGroup: pods are placed one by one");
  return out;
}

std::optional<std::string> wants_apparmor(const Pod& pod) {
  if (confined(pod.spec.securityContext)) return "spec.securityContext.appArmorProfile";
  std::optional<std::string> found;
  each_container(pod, [&](const std::string& path, const auto& container) {
    if (!found && confined(container.securityContext)) found = path + ".securityContext.appArmorProfile";
  });
  return found;
}

}  // namespace estiba::node
