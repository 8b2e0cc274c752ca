#include "node/admission.h"

#include <algorithm>

#include "client/node_selectors.h"
#include "model/node_features.h"
#include "model/quota.h"
#include "node/not_honoured.h"
#include "node/status.h"

namespace estiba::node {

using model::ObjectRef;
using namespace model::core_v1;

namespace {

struct HostPort {
  int32_t port;
  std::string ip, protocol;

  bool conflicts(const HostPort& other) const {
    const auto any = [](const std::string& address) { return address.empty() || address == "0.0.0.0" || address == "::"; };
    return port == other.port && protocol == other.protocol && (ip == other.ip || any(ip) || any(other.ip));
  }
};

std::vector<HostPort> host_ports(const Pod& pod) {
  std::vector<HostPort> out;
  const auto add = [&](const Container& container) {
    for (const ContainerPort& port : container.ports)
      if (port.hostPort.value_or(0) > 0) out.push_back({*port.hostPort, port.hostIP, port.protocol.empty() ? "TCP" : port.protocol});
  };
  for (const Container& container : pod.spec.containers) add(container);
  for (const Container& container : pod.spec.initContainers)
    if (is_sidecar(container)) add(container);
  return out;
}

bool ports_free(const Pod& pod, const std::vector<Present>& others) {
  const std::vector<HostPort> wanted = host_ports(pod);
  if (wanted.empty()) return true;
  for (const Present& other : others)
    for (const HostPort& taken : host_ports(other.pod.as<Pod>()))
      if (std::ranges::any_of(wanted, [&](const HostPort& port) { return port.conflicts(taken); })) return false;
  return true;
}

Refusal out_of(const Shortage& shortage) {
  return {"OutOf" + shortage.resource, "Node didn't have enough resource: " + shortage.resource +
                                           ", requested: " + std::to_string(shortage.asked) + ", used: " + std::to_string(shortage.used) +
                                           ", capacity: " + std::to_string(shortage.capacity)};
}

Refusal failed(const std::string& predicate, const std::string& why) { return {predicate, "Predicate " + predicate + " failed: " + why}; }

}  // namespace

model::ResourceList requests_of(const ObjectRef& pod) {
  const auto parsed = json::Document::parse(pod.object->json());
  const json::Node* spec = parsed ? parsed->root().find("spec") : nullptr;
  return spec ? model::pod_resources(*spec, "requests", true) : model::ResourceList{};
}

int64_t amount_of(const std::string& resource, const model::Quantity& quantity) {
  return resource == "cpu" ? quantity.to_milli() : quantity.to_int64();
}

std::vector<Shortage> shortages_of(const ObjectRef& pod, const ObjectRef& node, const std::vector<Present>& others) {
  std::vector<Shortage> out;
  if (!node) return out;
  const auto allocatable = [&](const std::string& name) -> std::optional<model::Quantity> {
    const auto& list = node.as<Node>().status.allocatable;
    const auto found = list.find(name);
    if (found == list.end()) return std::nullopt;
    auto quantity = model::Quantity::parse(found->second);
    return quantity ? std::optional(*quantity) : std::nullopt;
  };
  const auto look = [&](Shortage asked) {
    if (asked.missing() > 0) out.push_back(std::move(asked));
  };
  if (const auto most = allocatable("pods")) look({"pods", 1, int64_t(others.size()), most->to_int64()});
  model::ResourceList wanted = requests_of(pod);
  std::erase_if(wanted, [](const auto& entry) { return entry.second.is_zero(); });
  if (wanted.empty()) return out;
  model::ResourceList used;
  for (const Present& other : others) model::add_resources(used, other.requests);
  for (const auto& [name, quantity] : wanted) {
    const auto there = allocatable(name);
    if (!there && !name.starts_with("hugepages-")) continue;  // a resource of the cluster, not of a node
    look({name, amount_of(name, quantity), amount_of(name, used[name]), there ? amount_of(name, *there) : 0});
  }
  return out;
}

namespace {

// What no change of this node's pods would mend.
std::optional<Refusal> never_possible(const Pod& pod) {
  if (pod.spec.os && pod.spec.os->name != "linux")
    return Refusal{"PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"};
  if (const auto field = wants_apparmor(pod))
    return Refusal{"AppArmor", "Cannot enforce AppArmor: " + *field + ": this node does not use AppArmor"};
  const std::string missing =
      model::node_features::missing(model::node_features::needed_by(pod.spec), model::node_features::declared_here());
  if (!missing.empty()) return Refusal{"PodFeatureUnsupported", "Pod requires node features that are not available: " + missing};
  return std::nullopt;
}

std::optional<Refusal> out_of_place(const Pod& pod, const ObjectRef& node, const std::vector<Present>& others) {
  if (!node) return std::nullopt;
  if (!client::selects(pod.spec, node.meta())) return failed("NodeAffinity", "node(s) didn't match Pod's node affinity/selector");
  if (!ports_free(pod, others)) return failed("NodePorts", "node(s) didn't have free ports for the requested pod ports");
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> refusal_beside_room(const ObjectRef& pod, const ObjectRef& node, const std::vector<Present>& others) {
  const Pod& typed = pod.as<Pod>();
  if (auto refusal = never_possible(typed)) return refusal;
  return out_of_place(typed, node, others);
}

std::optional<Refusal> refusal_of(const ObjectRef& pod, const ObjectRef& node, const std::vector<Present>& others) {
  const Pod& typed = pod.as<Pod>();
  if (auto refusal = never_possible(typed)) return refusal;
  if (const auto shortages = shortages_of(pod, node, others); !shortages.empty()) return out_of(shortages.front());
  return out_of_place(typed, node, others);
}

}  // namespace estiba::node
