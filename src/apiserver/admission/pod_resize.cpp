// PodResizeValidator: a pod that runs is not resized beyond what its node has for pods. Whether there is room now is the node's to say.
// (Kubernetes: plugin/pkg/admission/podresize.)
#include "apiserver/admission/plugins.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "base/strings.h"
#include "model/quota.h"

namespace estiba::apiserver::admission {
namespace {

std::unexpected<Error> refused(const Attributes& attributes, std::string_view why, std::string reason) {
  auto error = attributes.forbidden(why);
  if (!error.error().details) error.error().details = std::make_shared<ErrorDetails>();
  error.error().details->causes.push_back({.reason = std::move(reason)});
  return error;
}

// "cpu, requested: 3000, allocatable: 2000"; "" when it fits.
std::string excess(const model::ResourceList& requests, const model::ResourceList& allocatable, const std::string& name) {
  const auto asked = requests.find(name), there = allocatable.find(name);
  const model::Quantity none, &has = there == allocatable.end() ? none : there->second;
  if (asked == requests.end() || asked->second <= has) return {};
  const auto number = [&](const model::Quantity& quantity) {
    return std::to_string(name == "cpu" ? quantity.to_milli() : quantity.to_int64());
  };
  return name + ", requested: " + number(asked->second) + ", allocatable: " + number(has);
}

}  // namespace

Result<void> check_pod_resize(Attributes& attributes) {
  if (!attributes.is_any("", "pods") || !attributes.updating() || attributes.action.subresource != "resize") return {};
  const json::Node& spec = *attributes.object->find("spec");
  const std::string name(spec.string_at("nodeName"));
  if (name.empty() || json::equal(spec, *attributes.old->find("spec"))) return {};
  const auto found = attributes.cluster.find("", "nodes", "", name);
  if (!found && found.error().code != Code::not_found) return std::unexpected(found.error());
  if (!found) return attributes.forbidden("node " + quoted(name) + " not found");
  const auto node = TRY(json::Document::parse((*found).object->json()));
  const std::string_view os = node.root().string_at("metadata", "labels", "kubernetes.io/os");
  if (!os.empty() && os != "linux")
    return refused(attributes, "pod resize is only supported on linux nodes, node " + quoted(name) + " is " + quoted(os),
                   "UnsupportedPlatform");
  const model::ResourceList requests = model::pod_resources(spec, "requests", true);
  const model::ResourceList allocatable = model::read_resources(node.root().at("status", "allocatable"));
  std::vector<std::string> problems;
  for (const char* resource : {"cpu", "memory"})
    if (std::string problem = excess(requests, allocatable, resource); !problem.empty()) problems.push_back(std::move(problem));
  if (problems.empty()) return {};
  return refused(attributes, "node didn't have enough allocatable resources: " + join(problems, "; "), "NodeCapacity");
}

}  // namespace estiba::apiserver::admission
