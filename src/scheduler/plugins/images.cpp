// Nodes that have the pod's images already are better (Kubernetes' ImageLocality).
#include "scheduler/plugins/plugins.h"

namespace estiba::scheduler {

namespace {

constexpr int64_t mebibyte = 1 << 20;
/// What is below a download of this much makes no difference; above so much a container it makes no more.
constexpr int64_t least = 23 * mebibyte, most_per_container = 1000 * mebibyte;

std::string with_tag(const std::string& name) {
  const size_t colon = name.rfind(':'), slash = name.rfind('/');
  const bool tagged = colon != std::string::npos && (slash == std::string::npos || colon > slash);
  return tagged ? name : name + ":latest";
}

struct Image {
  std::string name;
  double part;  ///< of all nodes, how many have it
};

/// The pod's images that any node has.
std::vector<Image> images_of(const Cluster& cluster, const model::core_v1::PodSpec& spec) {
  std::vector<Image> images;
  const auto add = [&](const std::string& name) {
    std::string full = with_tag(name);
    const size_t nodes = cluster.nodes_with_image(full);
    if (nodes > 0) images.push_back({std::move(full), double(nodes) / double(cluster.nodes().size())});
  };
  for (const auto& container : spec.initContainers) add(container.image);
  for (const auto& container : spec.containers) add(container.image);
  for (const auto& volume : spec.volumes)
    if (volume.image) add(volume.image->reference);
  return images;
}

}  // namespace

bool score_images(const Cluster& cluster, const Demand& pod, const PluginArgs&, Nodes nodes, std::span<int64_t> scores) {
  const auto& spec = pod.typed().spec;
  const std::vector<Image> images = images_of(cluster, spec);
  if (images.empty()) return false;
  const int64_t most = most_per_container * int64_t(spec.containers.size() + spec.initContainers.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    int64_t sum = 0;
    for (const Image& image : images) {
      const auto there = nodes[i]->images.find(image.name);
      // Weighed by how many nodes have it: what only one has would draw all pods there.
      if (there != nodes[i]->images.end()) sum += int64_t(double(there->second) * image.part);
    }
    scores[i] = 100 * (std::clamp(sum, least, most) - least) / (most - least);
  }
  return true;
}

}  // namespace estiba::scheduler
