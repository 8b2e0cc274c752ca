// Volumes that are labelled with zones or regions are for nodes of those (Kubernetes' VolumeZone).
#include "base/strings.h"
#include "client/selectors.h"
#include "scheduler/plugins/plugins.h"
#include "scheduler/volumes.h"

namespace estiba::scheduler {

namespace {

struct Label {
  std::string_view key, today;  ///< and what it is called now
};
constexpr Label labels[] = {{"failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"},
                            {"failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"},
                            {"topology.kubernetes.io/zone", "topology.kubernetes.io/zone"},
                            {"topology.kubernetes.io/region", "topology.kubernetes.io/region"}};

struct Place {
  Label label;
  std::vector<std::string> values;
};

class ZoneState : public PluginState {
 public:
  explicit ZoneState(std::vector<Place> places) : places_(std::move(places)) {}
  std::unique_ptr<PluginState> copy() const override { return std::make_unique<ZoneState>(*this); }
  void change(const Demand&, const NodeState&, int) override {}

  bool fits(const NodeState& node) const {
    const auto& has = node.node.meta().labels;
    // Where nodes have no zones there is but one.
    if (std::ranges::none_of(labels, [&](const Label& label) { return client::find_label(has, label.key); })) return true;
    return std::ranges::all_of(places_, [&](const Place& place) {
      const std::string* value = client::find_label(has, place.label.key);
      if (!value) value = client::find_label(has, place.label.today);
      return value && std::ranges::find(place.values, *value) != place.values.end();
    });
  }

 private:
  std::vector<Place> places_;
};

// "a__b": a volume of several zones.
std::vector<std::string> zones_in(std::string_view text) {
  std::vector<std::string> zones;
  for (size_t at; (at = text.find("__")) != std::string_view::npos; text.remove_prefix(at + 2)) zones.emplace_back(text.substr(0, at));
  zones.emplace_back(text);
  return zones;
}

}  // namespace

Prepared prepare_volume_zone(const Cluster& cluster, const Demand& pod, const PluginArgs&) {
  std::vector<Place> places;
  const model::Meta& meta = pod.pod.meta();
  for (const auto& volume : pod.typed().spec.volumes) {
    if (!volume.persistentVolumeClaim || !cluster.listers.claims) continue;
    const model::ObjectRef claim = cluster.listers.claims->get(meta.ns, client::claim_of(meta, volume));
    if (!claim) continue;  // refused by VolumeBinding
    const std::string& name = claim.as<model::core_v1::PersistentVolumeClaim>().spec.volumeName;
    if (name.empty()) continue;
    const model::ObjectRef there = cluster.listers.volumes ? cluster.listers.volumes->get(name) : model::ObjectRef{};
    if (!there) return {.refusal = "persistentvolume \"" + name + "\" not found"};
    for (const Label& label : labels)
      if (const std::string* value = client::find_label(there.meta().labels, label.key)) places.push_back({label, zones_in(*value)});
  }
  if (places.empty()) return {.skip = true};
  return {.state = std::make_unique<ZoneState>(std::move(places))};
}

Verdict check_volume_zone(const Demand&, const PluginState* state, const NodeState& node, Reasons* why) {
  if (static_cast<const ZoneState*>(state)->fits(node)) return Verdict::fits;
  return refuse(why, Verdict::unresolvable, "node(s) had no available volume zone");
}

}  // namespace estiba::scheduler
