#include "scheduler/demand.h"

#include <algorithm>

#include "model/quantity.h"

namespace estiba::scheduler {

using model::core_v1::Container;
using model::core_v1::ContainerStatus;
using model::core_v1::Pod;
using model::core_v1::ResourceRequirements;

static constexpr int64_t default_cpu = 100;
static constexpr int64_t default_memory = 200 * 1024 * 1024;

int64_t Amounts::other(std::string_view name) const {
  for (const auto& [key, value] : others)
    if (key == name) return value;
  return 0;
}

void Amounts::add(const Amounts& by, int64_t sign) {
  cpu += sign * by.cpu;
  memory += sign * by.memory;
  ephemeral += sign * by.ephemeral;
  for (const auto& [name, value] : by.others) {
    auto it = std::find_if(others.begin(), others.end(), [&](const auto& o) { return o.first == name; });
    if (it == others.end()) others.emplace_back(name, sign * value);
    else it->second += sign * value;
  }
}

void Amounts::raise_to(const Amounts& least) {
  cpu = std::max(cpu, least.cpu);
  memory = std::max(memory, least.memory);
  ephemeral = std::max(ephemeral, least.ephemeral);
  for (const auto& [name, value] : least.others) {
    auto it = std::find_if(others.begin(), others.end(), [&](const auto& o) { return o.first == name; });
    if (it == others.end()) others.emplace_back(name, value);
    else it->second = std::max(it->second, value);
  }
}

// Of `a` there is no more than of `b`.
static bool within(const Amounts& a, const Amounts& b) {
  return a.cpu <= b.cpu && a.memory <= b.memory && a.ephemeral <= b.ephemeral &&
         std::ranges::all_of(a.others, [&](const auto& each) { return each.second <= b.other(each.first); });
}

Amounts amounts_of(const std::map<std::string, std::string>& list) {
  Amounts out;
  for (const auto& [name, text] : list) {
    if (name == "cpu") out.cpu = model::quantity_to_milli(text);
    else if (name == "memory") out.memory = model::quantity_to_int64(text);
    else if (name == "ephemeral-storage") out.ephemeral = model::quantity_to_int64(text);
    else if (name != "pods") out.others.emplace_back(name, model::quantity_to_int64(text));
  }
  return out;
}

// A limit without a request stands for both.
static Amounts asked_by(const model::Opt<model::core_v1::ResourceRequirements>& resources) {
  if (!resources) return {};
  std::map<std::string, std::string> list = resources->requests;
  list.insert(resources->limits.begin(), resources->limits.end());
  return amounts_of(list);
}

static Amounts scored(Amounts amounts) {
  if (amounts.cpu == 0) amounts.cpu = default_cpu;
  if (amounts.memory == 0) amounts.memory = default_memory;
  return amounts;
}

static bool resize_is_infeasible(const Pod& pod) {
  const auto pending = std::ranges::find(pod.status.conditions, "PodResizePending", &model::core_v1::PodCondition::type);
  return pending != pod.status.conditions.end() && pending->reason == "Infeasible";
}

static const ContainerStatus* status_of(const std::vector<ContainerStatus>& statuses, const Container& container) {
  const auto found = std::ranges::find(statuses, container.name, &ContainerStatus::name);
  return found == statuses.end() || !found->resources ? nullptr : &*found;
}

// While its resources change a container counts for the most of what it is to have, has been granted, and has; and for what it has when its
// node will never give it what it asks for (k8s.io/component-helpers/resource, determineEffectiveRequests).
static Amounts effective(Amounts spec, const std::map<std::string, std::string>& granted, const ResourceRequirements& actual,
                         bool infeasible) {
  Amounts out = infeasible ? Amounts{} : std::move(spec);
  out.raise_to(amounts_of(granted));
  out.raise_to(amounts_of(actual.requests));
  return out;
}

static Amounts counted_of(const Pod& pod, const Container& container, const std::vector<ContainerStatus>& statuses) {
  Amounts spec = asked_by(container.resources);
  const ContainerStatus* status = status_of(statuses, container);
  return status ? effective(std::move(spec), status->allocatedResources, *status->resources, resize_is_infeasible(pod)) : spec;
}

// Resources given for the pod as a whole stand above those of its containers.
static void put_whole(const Pod& pod, Amounts& running) {
  if (!pod.spec.resources) return;
  const Amounts spec = asked_by(pod.spec.resources);
  const auto& status = pod.status;
  const Amounts now = status.resources ? effective(spec, status.allocatedResources, *status.resources, resize_is_infeasible(pod)) : spec;
  if (spec.cpu > 0) running.cpu = now.cpu;
  if (spec.memory > 0) running.memory = now.memory;
}

// Init containers run one after another before the others, beside the sidecars started so far.
static Amounts total(const Pod& pod, Amounts (*shape)(Amounts)) {
  Amounts running, most, sidecars;
  for (const Container& container : pod.spec.containers) running.add(shape(counted_of(pod, container, pod.status.containerStatuses)), 1);
  for (const Container& container : pod.spec.initContainers) {
    if (container.restartPolicy == "Always") {
      Amounts now = shape(counted_of(pod, container, pod.status.initContainerStatuses));
      sidecars.add(now, 1);
      most.raise_to(sidecars);
    } else {
      Amounts now = shape(asked_by(container.resources));
      now.add(sidecars, 1);
      most.raise_to(now);
    }
  }
  running.add(sidecars, 1);
  running.raise_to(most);
  put_whole(pod, running);
  running.add(amounts_of(pod.spec.overhead), 1);
  return running;
}

bool HostPort::conflicts(const HostPort& other) const {
  if (port != other.port || protocol != other.protocol) return false;
  return ip == other.ip || ip == "0.0.0.0" || other.ip == "0.0.0.0";
}

static void collect_ports(std::vector<HostPort>& out, const std::vector<Container>& containers, bool host_network, bool only_sidecars) {
  for (const Container& container : containers) {
    if (only_sidecars && container.restartPolicy != "Always") continue;
    for (const auto& port : container.ports) {
      const int32_t number = port.hostPort.value_or(host_network ? port.containerPort : 0);
      if (number > 0) out.push_back({port.hostIP.empty() ? "0.0.0.0" : port.hostIP, port.protocol.empty() ? "TCP" : port.protocol, number});
    }
  }
}

// Whether a status tells of other amounts than the spec. Text by text: it is asked at each change of a status, and what differs only in its
// spelling is found out when it is counted.
static bool differs(const model::Opt<ResourceRequirements>& spec, const std::map<std::string, std::string>& granted,
                    const model::Opt<ResourceRequirements>& actual) {
  static const std::map<std::string, std::string> none;
  const auto& asked = spec ? spec->requests : none;
  return actual && (actual->requests != asked || granted != asked);
}

static bool any_differs(const std::vector<Container>& containers, const std::vector<ContainerStatus>& statuses) {
  return std::ranges::any_of(containers, [&](const Container& container) {
    const ContainerStatus* status = status_of(statuses, container);
    return status && differs(container.resources, status->allocatedResources, status->resources);
  });
}

static bool is_resizing(const Pod& pod) {
  return any_differs(pod.spec.containers, pod.status.containerStatuses) ||
         any_differs(pod.spec.initContainers, pod.status.initContainerStatuses) ||
         (pod.spec.resources && differs(pod.spec.resources, pod.status.allocatedResources, pod.status.resources));
}

bool Demand::same_amounts(const model::ObjectRef& now) const {
  const Pod& typed = now.as<Pod>();
  if (!resizing && !is_resizing(typed)) return true;
  const Amounts asked = total(typed, [](Amounts amounts) { return amounts; });
  return within(asked, request) && within(request, asked);
}

bool Demand::asks_less_than(const Demand& other) const { return !within(other.request, request); }

DemandPtr demand_of(const model::ObjectRef& object) {
  auto demand = std::make_shared<Demand>();
  demand->pod = object;
  const Pod& pod = object.as<Pod>();
  demand->resizing = is_resizing(pod);
  demand->priority = pod.spec.priority.value_or(0);
  demand->request = total(pod, [](Amounts amounts) { return amounts; });
  const Amounts with_defaults = total(pod, scored);
  demand->scored_cpu = with_defaults.cpu;
  demand->scored_memory = with_defaults.memory;
  collect_ports(demand->ports, pod.spec.containers, pod.spec.hostNetwork.value_or(false), false);
  collect_ports(demand->ports, pod.spec.initContainers, pod.spec.hostNetwork.value_or(false), true);
  for (const auto& volume : pod.spec.volumes)
    if (volume.persistentVolumeClaim) demand->claims.push_back(object.meta().ns + "/" + volume.persistentVolumeClaim->claimName);
  demand->affinity = affinity_terms_of(object);
  return demand;
}

}  // namespace estiba::scheduler
