// Which devices the plugins of a node offer, and which pod has which: as the kubelet's device manager keeps them (pkg/kubelet/cm/
// devicemanager).
//
// Pure bookkeeping; what has been given is kept in a file by whoever owns this.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/types/core_v1.h"
#include "node/devices/plugin_api.h"
#include "node/placement/hints.h"

namespace estiba::node {

class DeviceLedger {
 public:
  using Ids = std::set<std::string>;

  /// What a plugin says of its resource ("example.com/gpu"), whole.
  void set_devices(const std::string& resource, const std::vector<plugin_api::Device>& devices);
  /// The plugin has gone: none of its devices can be given any more.
  void set_all_unhealthy(const std::string& resource);
  /// Nothing is known of the resource any more; what pods have of it stays theirs.
  void forget(const std::string& resource);
  /// Whether a plugin offers or has offered it.
  bool knows(const std::string& resource) const { return devices_.contains(resource); }

  struct Count {
    int64_t capacity = 0, allocatable = 0;
    bool operator==(const Count&) const = default;
  };
  std::map<std::string, Count> counts() const;
  /// Ids that can be given or have been, by resource.
  std::map<std::string, Ids> healthy() const;

  struct Wish {
    std::string pod, container, resource;  ///< the pod by its uid
    size_t count = 0;
  };
  /// On which NUMA nodes a device is; none where its plugin does not say.
  NumaNodes nodes_of(const std::string& resource, const std::string& id) const;
  /// Where so many could be; nothing where no plugin says where its devices are. `reusable` as in choose().
  std::optional<std::vector<Hint>> hints(const std::string& resource, size_t count, const Ids& reusable, const NumaNodes& all) const;
  /// Those that are on one of the nodes.
  Ids near(const std::string& resource, const Ids& ids, const NumaNodes& nodes) const;
  /// Ids that no pod has and that are healthy.
  Ids free(const std::string& resource) const;
  /// What a container is to have of one resource: first of `reusable`, ids that an earlier container of its pod has, which will have ended
  /// by then; then of `preferred`, then those on `nodes`, then by name. Code::exhausted, in the kubelet's words, when too few are free.
  Result<std::vector<std::string>> choose(const Wish& wish, const Ids& reusable, const std::vector<std::string>& preferred,
                                          const std::optional<NumaNodes>& nodes = {}) const;

  /// Writes down that a container has the ids, with what the plugin answered.
  void give(const Wish& wish, std::vector<std::string> ids, plugin_api::ContainerAllocation answer);
  /// Takes back what pods have that are not among these.
  void keep_only(const std::set<std::string>& pods);
  void release(const std::string& pod);
  bool has(const std::string& pod) const { return given_.contains(pod); }

  struct Given {
    std::vector<std::string> ids;
    plugin_api::ContainerAllocation answer;
  };
  /// By resource; empty when the container has none.
  std::map<std::string, Given> given_to(const std::string& pod, const std::string& container) const;
  struct Holder {
    std::string pod, container, resource;
    std::vector<std::string> ids;
  };
  std::vector<Holder> holders() const;

  /// JSON: {"resources": ["…"], "given": [{"pod", "container", "resource", "ids": ["…"], "answer": base64 of a
  /// ContainerAllocateResponse}]}.
  std::string save() const;
  /// Into an empty ledger. Resources that were known are there without devices, until their plugins come. Code::malformed names the place.
  Result<void> load(const std::string& text);

 private:
  struct Known {
    bool healthy = false;
    NumaNodes nodes;
  };
  std::map<std::string, std::map<std::string, Known>> devices_;                        // resource → id
  std::map<std::string, std::map<std::pair<std::string, std::string>, Given>> given_;  // pod → (container, resource)
};

/// How many a container asks for of each resource that the ledger knows.
std::map<std::string, size_t> device_wishes(const model::core_v1::Container& container, const DeviceLedger& ledger);

}  // namespace estiba::node
