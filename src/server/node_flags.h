// The flags of a node, which the server has for the node in its process and the agent for its own.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/flags.h"
#include "ingress/ingress.h"
#include "node/housekeeping.h"
#include "server/placement_flags.h"

namespace estiba::server {

/// The folders that a flag lists with commas between them. Errors name the flag.
Result<std::vector<std::string>> folders_of_flag(std::string_view flag, std::string_view list);

inline constexpr std::string_view default_cdi_spec_dirs = "/etc/cdi,/var/run/cdi";
inline constexpr std::string_view cdi_spec_dirs_help =
    "folders of CDI files, which say what devices such as vendor.com/gpu=0 are; those of later ones come before those of earlier ones";

struct NodeSettings;

struct NodeFlags {
  int64_t node_port = 10250;  ///< of the node's own API
  int64_t max_pods = 250, pod_max_pids = 0, user_ids_per_pod = 65536;
  std::string system_reserved, kube_reserved, swap_behavior = "NoSwap";
  std::string docker_socket, cri_socket;  ///< empty: not answered
  PlacementFlags placement;
  std::string pod_manifest_path;
  std::string cni_conf_dir, cni_bin_dir = "/opt/cni/bin", device_plugin_dir = "/var/lib/kubelet/device-plugins";
  std::string kubelet_dir = "/var/lib/kubelet";
  std::string cdi_spec_dirs{default_cdi_spec_dirs};
  int64_t image_high = 85, image_low = 80;
  std::string eviction_hard =
      "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%";
  std::string eviction_soft, eviction_grace_periods, eviction_reclaim, pressure_transition = "5m0s";
  int64_t eviction_most_grace = 0;
  bool ingress = true;
  int64_t ingress_http_port = 80, ingress_https_port = 443;
  std::string ingress_proxy_protocol_from;
  std::string image_least_age = "2m0s", image_most_age = "0s";

  void declare(cli::Flags& flags);
  /// Writes down what they say, once read() has found them good.
  void fill(NodeSettings& settings) const;
  /// What they say of housekeeping; errors name the flag, any of them.
  Result<node::Housekeeping> read() const;
  /// How Ingresses and Gateways are served; nullopt: not here.
  std::optional<ingress::Options> ingress_options() const;

 private:
  Result<void> check_limits() const;
  Result<void> check_swap() const;
  model::ResourceList reserved() const;
};

}  // namespace estiba::server
