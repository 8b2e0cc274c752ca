// What is asked of and told about one pod's network. Values only, so that others can include it cheaply.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace estiba::network {

enum class Protocol : uint8_t { tcp = 6, udp = 17, sctp = 132 };

/// A port of the node that is led to a port of the pod (containers[].ports[].hostPort).
struct HostPort {
  Protocol protocol = Protocol::tcp;
  uint16_t host_port = 0, pod_port = 0;
  std::string host_ip = {};  ///< the only address of the node where it is; empty: all
  bool operator==(const HostPort&) const = default;
};

/// A port that a container has given a name (containers[].ports[].name).
struct NamedPort {
  Protocol protocol = Protocol::tcp;
  std::string name;
  uint16_t port = 0;
  bool operator==(const NamedPort&) const = default;
};

/// `size` ids of a user namespace, from `inside` on, and where they begin outside.
struct IdRange {
  uint32_t inside = 0, outside = 0, size = 0;
  bool operator==(const IdRange&) const = default;
};

/// In bits a second, as seen from the pod; 0: as fast as can be.
struct Bandwidth {
  uint64_t ingress = 0, egress = 0;
  bool any() const { return ingress || egress; }
  bool operator==(const Bandwidth&) const = default;
};

struct PodRequest {
  std::string uid;       ///< identity of the attachment: letters, digits, '-', '.', '_'
  std::string ns, name;  ///< the namespace counts for network policies; both are in messages and logs
  std::vector<HostPort> host_ports;
  Bandwidth bandwidth = {};
  // For network policies, until the watch of pods says the same. Not recorded.
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<NamedPort> named_ports;
  /// Ids of the user namespace that the network namespace is to belong to, made with it; none: the host's. Not recorded.
  std::vector<IdRange> uids, gids;
};

struct PodNet {
  std::string netns_path;        ///< a bound network namespace, "/run/estiba/netns/…"
  std::string userns_path;       ///< the bound user namespace that it belongs to, "/run/estiba/userns/…"; empty: the host's
  std::vector<std::string> ips;  ///< one, or one of each family, the primary first
  std::string interface_name = "eth0";
  std::string mac;
  std::string gateway;  ///< of the primary family
  int mtu = 1500;
};

}  // namespace estiba::network
