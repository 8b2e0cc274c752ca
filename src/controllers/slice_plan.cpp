#include "controllers/slice_plan.h"

#include <algorithm>
#include <unordered_map>

#include "model/types/discovery_v1.h"

namespace estiba::controllers {

SliceState SliceState::of(const model::ObjectRef& slice) {
  const auto& typed = slice.as<model::discovery_v1::EndpointSlice>();
  SliceState state{.name = slice.meta().name, .family = typed.addressType};
  for (const auto& port : typed.ports) state.ports.push_back({port.name, port.protocol, port.appProtocol, port.port.value_or(0)});
  for (const auto& endpoint : typed.endpoints) {
    EndpointFacts facts;
    if (!endpoint.addresses.empty()) facts.address = endpoint.addresses[0];
    if (endpoint.targetRef) {
      facts.pod_ns = endpoint.targetRef->namespace_;
      facts.pod = endpoint.targetRef->name;
      facts.pod_uid = endpoint.targetRef->uid;
    }
    facts.node = endpoint.nodeName;
    facts.zone = endpoint.zone;
    facts.hostname = endpoint.hostname;
    if (endpoint.conditions) {
      facts.ready = endpoint.conditions->ready.value_or(false);
      facts.serving = endpoint.conditions->serving.value_or(false);
      facts.terminating = endpoint.conditions->terminating.value_or(false);
    }
    if (endpoint.hints) {
      if (!endpoint.hints->forZones.empty()) facts.hint_zone = endpoint.hints->forZones[0].name;
      if (!endpoint.hints->forNodes.empty()) facts.hint_node = endpoint.hints->forNodes[0].name;
    }
    state.endpoints.push_back(std::move(facts));
  }
  return state;
}

namespace {

struct Planner {
  const std::vector<SliceState>& present;
  std::vector<bool> taken = std::vector<bool>(present.size());
  std::vector<SliceState> out;

  void place(EndpointGroup group) {
    std::unordered_map<std::string, EndpointFacts*> missing;
    for (EndpointFacts& endpoint : group.endpoints) missing.emplace(endpoint.pod_uid, &endpoint);
    const size_t first = out.size();
    for (size_t i = 0; i < present.size(); ++i) {
      if (taken[i] || present[i].family != group.family || present[i].ports != group.ports) continue;
      taken[i] = true;
      SliceState kept{present[i].name, group.family, group.ports, {}};
      for (const EndpointFacts& endpoint : present[i].endpoints) {
        auto it = missing.find(endpoint.pod_uid);
        if (it == missing.end()) continue;
        kept.endpoints.push_back(*it->second);
        missing.erase(it);
      }
      out.push_back(std::move(kept));
    }
    fill(group, missing, first);
    // A slice left empty goes, unless it is the group's last.
    for (size_t i = out.size(); i-- > first;)
      if (out[i].endpoints.empty() && out.size() - first > 1) out.erase(out.begin() + long(i));
  }

  void fill(EndpointGroup& group, std::unordered_map<std::string, EndpointFacts*>& missing, size_t first) {
    size_t at = first;
    for (EndpointFacts& endpoint : group.endpoints) {
      if (!missing.contains(endpoint.pod_uid)) continue;
      while (at < out.size() && out[at].endpoints.size() >= slice_capacity) ++at;
      if (at == out.size()) out.push_back({reusable(group.family), group.family, group.ports, {}});
      out[at].endpoints.push_back(std::move(endpoint));
    }
  }

  /// The name of a slice of the family that holds nothing, to be used for other ports; or none.
  std::string reusable(const std::string& family) {
    for (size_t i = 0; i < present.size(); ++i) {
      if (taken[i] || present[i].family != family || !present[i].endpoints.empty()) continue;
      taken[i] = true;
      return present[i].name;
    }
    return {};
  }

  /// A family without endpoints keeps one slice, so that watchers can tell "none" from "not computed yet".
  void keep_empty(const std::string& family) {
    if (std::any_of(out.begin(), out.end(), [&](const SliceState& s) { return s.family == family; })) return;
    for (size_t i = 0; i < present.size(); ++i) {
      if (taken[i] || present[i].family != family) continue;
      taken[i] = true;
      out.push_back({present[i].name, family, present[i].ports, {}});
      return;
    }
    out.push_back({{}, family, {}, {}});
  }
};

}  // namespace

std::vector<SliceState> plan_slices(const std::vector<SliceState>& present, std::vector<EndpointGroup> groups,
                                    const std::vector<std::string>& families) {
  Planner planner{present};
  for (EndpointGroup& group : groups) planner.place(std::move(group));
  for (const std::string& family : families) planner.keep_empty(family);
  return std::move(planner.out);
}

}  // namespace estiba::controllers
