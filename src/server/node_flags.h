// The flags of a node, which the server has for the node in its process and the agent for its own.
#pragma once
#include <optional>
#include <string>

#include "cli/flags.h"
#include "ingress/ingress.h"
#include "node/housekeeping.h"

namespace estiba::server {

struct NodeFlags {
  std::string pod_manifest_path;
  std::string cni_conf_dir, cni_bin_dir = "/opt/cni/bin", device_plugin_dir = "/var/lib/kubelet/device-plugins";
  std::string kubelet_dir = "/var/lib/kubelet";
  int64_t image_high = 85, image_low = 80;
  std::string eviction_hard =
      "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%";
  std::string eviction_soft, eviction_grace_periods, eviction_reclaim, pressure_transition = "5m0s";
  int64_t eviction_most_grace = 0;
  bool ingress = true;
  int64_t ingress_http_port = 80, ingress_https_port = 443;
  std::string image_least_age = "2m0s", image_most_age = "0s";

  void declare(cli::Flags& flags);
  /// What they say of housekeeping; errors name the flag, any of them.
  Result<node::Housekeeping> read() const;
  /// How Ingresses and Gateways are served; nullopt: not here.
  std::optional<ingress::Options> ingress_options() const;
  /// The folders of --cni-bin-dir.
  std::vector<std::string> cni_plugins() const;
};

}  // namespace estiba::server
