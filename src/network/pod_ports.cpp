#include "network/pod_ports.h"

#include "network/proxy/entries.h"

namespace estiba::network {

std::vector<NamedPort> named_ports(const model::core_v1::PodSpec& spec) {
  std::vector<NamedPort> ports;
  for (const auto* containers : {&spec.initContainers, &spec.containers})
    for (const auto& container : *containers)
      for (const auto& port : container.ports)
        if (!port.name.empty()) ports.push_back({parse_protocol(port.protocol), port.name, uint16_t(port.containerPort)});
  return ports;
}

}  // namespace estiba::network
