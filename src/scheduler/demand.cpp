#include "scheduler/demand.h"

#include <algorithm>

#include "model/quantity.h"

namespace estiba::scheduler {

using model::core_v1::Container;
using model::core_v1::Pod;

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

// Init containers run one after another before the others, beside the sidecars started so far.
static Amounts total(const Pod& pod, Amounts (*shape)(Amounts)) {
  Amounts running, most, sidecars;
  for (const Container& container : pod.spec.containers) running.add(shape(asked_by(container.resources)), 1);
  for (const Container& container : pod.spec.initContainers) {
    Amounts now = shape(asked_by(container.resources));
    if (container.restartPolicy == "Always") {
      sidecars.add(now, 1);
      now = sidecars;
    } else {
      now.add(sidecars, 1);
    }
    most.raise_to(now);
  }
  running.add(sidecars, 1);
  running.raise_to(most);
  // Resources given for the pod as a whole stand above those of its containers.
  const Amounts whole = asked_by(pod.spec.resources);
  if (whole.cpu > 0) running.cpu = whole.cpu;
  if (whole.memory > 0) running.memory = whole.memory;
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

DemandPtr demand_of(const model::ObjectRef& object) {
  auto demand = std::make_shared<Demand>();
  demand->pod = object;
  const Pod& pod = object.as<Pod>();
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
