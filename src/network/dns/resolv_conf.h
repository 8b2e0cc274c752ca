// A pod's resolv.conf from its dnsPolicy and dnsConfig: pure, so that the node can write it and tests can compare it.
// Source: kubernetes.io/docs/concepts/services-networking/dns-pod-service.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace estiba::network {

struct ResolvConf {
  std::vector<std::string> nameservers, searches;
  std::vector<std::pair<std::string, std::optional<std::string>>> options;  ///< {"ndots","5"}, {"edns0",nullopt}

  static ResolvConf parse(std::string_view text);
  std::string text() const;
};

struct PodDns {
  std::string policy = "ClusterFirst";  ///< ClusterFirst, ClusterFirstWithHostNet, Default, None
  bool host_network = false;
  std::string ns;
  ResolvConf config;  ///< spec.dnsConfig
};

struct ClusterDns {
  std::string address;  ///< "10.43.0.10"; empty: there is none, and ClusterFirst falls back to Default
  std::string domain = "cluster.local";
};

/// The text of the pod's /etc/resolv.conf. `host` is the node's own.
std::string pod_resolv_conf(const PodDns& pod, const ClusterDns& cluster, const ResolvConf& host);

}  // namespace estiba::network
