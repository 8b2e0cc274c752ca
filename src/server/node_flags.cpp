#include "server/node_flags.h"

#include <thread>

#include "apiserver/kinds/static_pod.h"
#include "base/go_duration.h"
#include "base/strings.h"
#include "node/reserved.h"
#include "node/user_ids.h"
#include "os/cgroup.h"
#include "server/node_runner.h"

namespace estiba::server {

Result<std::vector<std::string>> folders_of_flag(std::string_view flag, std::string_view list) {
  std::vector<std::string> out;
  for (const std::string_view folder : split(list, ',')) {
    if (!folder.starts_with('/')) return fail(Code::invalid, "--" + std::string(flag) + " must be absolute paths, not " + quoted(folder));
    out.emplace_back(folder);
  }
  return out;
}

std::optional<ingress::Options> NodeFlags::ingress_options() const {
  if (!ingress) return std::nullopt;
  ingress::Options out{.http_port = uint16_t(ingress_http_port), .https_port = uint16_t(ingress_https_port)};
  for (const std::string_view range : split(ingress_proxy_protocol_from, ','))
    if (auto prefix = Prefix::parse(range)) out.listeners.proxy_protocol_from.push_back(*prefix);
  out.listeners.threads = std::clamp(std::thread::hardware_concurrency(), 1u, 8u);
  return out;
}

void NodeFlags::fill(NodeSettings& settings) const {
  settings.api_port = uint16_t(node_port);
  settings.docker_socket = docker_socket;
  settings.cri_socket = cri_socket;
  settings.ingress = ingress_options();
  settings.max_pods = max_pods;
  settings.pod_max_pids = pod_max_pids;
  settings.user_ids_per_pod = user_ids_per_pod;
  settings.limited_swap = swap_behavior == "LimitedSwap";
  settings.system_reserved = node::parse_reserved(system_reserved).value_or(model::ResourceList{});
  settings.kube_reserved = node::parse_reserved(kube_reserved).value_or(model::ResourceList{});
  settings.placement = placement.read(reserved()).value_or(node::PlacementOptions{});
  settings.cni_conf_dir = cni_conf_dir;
  settings.device_plugin_dir = device_plugin_dir;
  settings.kubelet_dir = kubelet_dir;
  settings.cni_plugins = folders_of_flag("cni-bin-dir", cni_bin_dir).value_or({});
  settings.cdi_spec_dirs = folders_of_flag("cdi-spec-dirs", cdi_spec_dirs).value_or({});
}

void NodeFlags::declare(cli::Flags& flags) {
  flags.add("node-api-port", &node_port, "port of the node's own API");
  flags.add("docker-socket", &docker_socket, "path of a socket on which the Docker Engine API is answered; not without one");
  flags.add("cri-socket", &cri_socket, "path of a socket on which the Container Runtime Interface is answered; not without one");
  flags.add("max-pods", &max_pods, "pods that this node takes at most");
  flags.add("pod-max-pids", &pod_max_pids,
            "processes and threads that a pod may have; a quarter of what the kernel has room for when 0, any number when -1");
  flags.add("user-namespace-ids-per-pod", &user_ids_per_pod,
            "size of the user namespace of a pod with hostUsers: false, a multiple of 65536");
  flags.add("system-reserved", &system_reserved,
            "RESOURCE=QUANTITY[,…] of the machine that is not the pods', for what else runs on it; cpu, memory and ephemeral-storage");
  flags.add("kube-reserved", &kube_reserved, "the same for Estiba itself");
  flags.add("swap-behavior", &swap_behavior,
            "NoSwap: pods have no swap; LimitedSwap: Burstable ones have a part of the machine's, which needs control groups of version 2");
  placement.declare(flags);
  flags.add("ingress", &ingress, "this node serves Ingresses and Gateways, once there is one");
  flags.add("ingress-http-port", &ingress_http_port, "the node's port of Ingresses; 0: none");
  flags.add("ingress-https-port", &ingress_https_port, "the same for those with certificates; 0: none");
  flags.add(
      "ingress-proxy-protocol-from", &ingress_proxy_protocol_from,
      "CIDR[,…]: connections from there begin with a header of the PROXY protocol (version 1 or 2), by which a load balancer says whom "
      "it passes on");
  flags.add(
      "cni-conf-dir", &cni_conf_dir,
      "folder of CNI network configurations, such as /etc/cni/net.d: its first makes the pods' networks; the built-in one when empty");
  flags.add("cni-bin-dir", &cni_bin_dir, "folders of CNI plugins, with commas between them");
  flags.add("device-plugin-dir", &device_plugin_dir, "folder of the sockets of device plugins, which are not served when empty");
  flags.add("kubelet-dir", &kubelet_dir,
            "where drivers of storage and devices expect plugins_registry, plugins and pods; no driver is served when empty");
  flags.add("cdi-spec-dirs", &cdi_spec_dirs, cdi_spec_dirs_help);
  flags.add("pod-manifest-path", &pod_manifest_path,
            "directory of Pod manifests (YAML or JSON, one a file) that this node runs by itself; none when empty");
  flags.add("image-gc-high-threshold", &image_high,
            "percent of the images' disk in use at which unused images are deleted; never when 100");
  flags.add("image-gc-low-threshold", &image_low, "percent of the disk in use down to which they are deleted");
  flags.add("minimum-image-ttl-duration", &image_least_age, "how long an image is here at least before it may go");
  flags.add("image-maximum-gc-age", &image_most_age,
            "images that are unused for longer are deleted whatever the disk says; 0s: they are not");
  flags.add(
      "eviction-hard", &eviction_hard,
      "SIGNAL<VALUE[,…]: below it pods are evicted at once; memory.available, nodefs.available, nodefs.inodesFree, imagefs.available, "
      "imagefs.inodesFree and pid.available, a quantity or a percentage each");
  flags.add("eviction-soft", &eviction_soft, "the same, after a grace period each");
  flags.add("eviction-soft-grace-period", &eviction_grace_periods,
            "SIGNAL=DURATION[,…]: how long a soft threshold is met before pods are evicted");
  flags.add("eviction-max-pod-grace-period", &eviction_most_grace, "seconds that pods get at most to end which a soft threshold evicts");
  flags.add("eviction-minimum-reclaim", &eviction_reclaim,
            "SIGNAL=VALUE[,…]: by how much the node gets away from a threshold once it is met");
  flags.add("eviction-pressure-transition-period", &pressure_transition, "how long a pressure condition stays after the pressure is over");
}

model::ResourceList NodeFlags::reserved() const {
  model::ResourceList out;
  for (const std::string* text : {&system_reserved, &kube_reserved})
    model::add_resources(out, node::parse_reserved(*text).value_or(model::ResourceList{}));
  return out;
}

Result<void> NodeFlags::check_swap() const {
  if (swap_behavior.empty() || swap_behavior == "NoSwap") return {};
  if (swap_behavior != "LimitedSwap") return fail(Code::invalid, "--swap-behavior is NoSwap or LimitedSwap, not " + quoted(swap_behavior));
  if (TRY_AS("--swap-behavior", os::cgroup_host())->mode == os::CgroupMode::v2) return {};
  return fail(Code::unsupported, "--swap-behavior=LimitedSwap needs control groups of version 2, and this machine has version 1");
}

Result<void> NodeFlags::check_limits() const {
  if (node_port < 1 || node_port > 65535)
    return fail(Code::invalid, "--node-api-port must be 1 to 65535, not " + std::to_string(node_port));
  if (max_pods < 1 || max_pods > INT32_MAX) return fail(Code::invalid, "--max-pods must be 1 or more, not " + std::to_string(max_pods));
  if (pod_max_pids < -1) return fail(Code::invalid, "--pod-max-pids must be -1 or more, not " + std::to_string(pod_max_pids));
  TRY(check_swap());
  TRY_AS("--user-namespace-ids-per-pod", node::check_ids_per_pod(user_ids_per_pod));
  TRY_AS("--system-reserved", node::parse_reserved(system_reserved));
  TRY_AS("--kube-reserved", node::parse_reserved(kube_reserved));
  TRY(placement.read(reserved()));
  return {};
}

Result<node::Housekeeping> NodeFlags::read() const {
  node::Housekeeping out;
  TRY(check_limits());
  if (!cni_conf_dir.empty() && !cni_conf_dir.starts_with('/'))
    return fail(Code::invalid, "--cni-conf-dir must be an absolute path, not " + quoted(cni_conf_dir));
  TRY(folders_of_flag("cni-bin-dir", cni_bin_dir));
  TRY(folders_of_flag("cdi-spec-dirs", cdi_spec_dirs));
  if (!device_plugin_dir.empty() && !device_plugin_dir.starts_with('/'))
    return fail(Code::invalid, "--device-plugin-dir must be an absolute path, not " + quoted(device_plugin_dir));
  if (!kubelet_dir.empty() && (!kubelet_dir.starts_with('/') || kubelet_dir == "/"))
    return fail(Code::invalid, "--kubelet-dir must be an absolute path, not " + quoted(kubelet_dir));
  for (const int64_t port : {ingress_http_port, ingress_https_port})
    if (port < 0 || port > 65535)
      return fail(Code::invalid, "--ingress-http-port and --ingress-https-port must be from 0 to 65535, not " + std::to_string(port));
  if (ingress_http_port && ingress_http_port == ingress_https_port)
    return fail(Code::invalid, "--ingress-http-port and --ingress-https-port must differ");
  if (!ingress_proxy_protocol_from.empty())
    for (const std::string_view range : split(ingress_proxy_protocol_from, ','))
      if (auto prefix = Prefix::parse(range); !prefix)
        return fail(Code::invalid, "--ingress-proxy-protocol-from must be prefixes such as 192.0.2.0/24: " + prefix.error().message);
  if (!pod_manifest_path.empty() && !pod_manifest_path.starts_with('/'))
    return fail(Code::invalid, "--pod-manifest-path must be an absolute path, not " + quoted(pod_manifest_path));
  out.pod_manifests = pod_manifest_path;
  while (out.pod_manifests.size() > 1 && out.pod_manifests.ends_with('/')) out.pod_manifests.pop_back();
  out.complete_pod = apiserver::complete_static_pod;
  for (const auto& [flag, value] : {std::pair("image-gc-high-threshold", image_high), std::pair("image-gc-low-threshold", image_low)})
    if (value < 0 || value > 100)
      return fail(Code::invalid, "--" + std::string(flag) + " must be a percentage from 0 to 100, not " + std::to_string(value));
  if (image_low >= image_high)
    return fail(Code::invalid, "--image-gc-low-threshold (" + std::to_string(image_low) + ") must be below --image-gc-high-threshold (" +
                                   std::to_string(image_high) + ")");
  out.image_high_percent = image_high;
  out.image_low_percent = image_low;
  out.image_least_age = TRY(parse_duration_flag("minimum-image-ttl-duration", image_least_age));
  out.image_most_age = TRY(parse_duration_flag("image-maximum-gc-age", image_most_age));
  if (out.image_most_age > Duration{} && out.image_most_age <= out.image_least_age)
    return fail(Code::invalid, "--image-maximum-gc-age must be longer than --minimum-image-ttl-duration");
  out.thresholds = TRY(node::parse_thresholds(eviction_hard, eviction_soft, eviction_grace_periods, eviction_reclaim));
  out.pressure_transition = TRY(parse_duration_flag("eviction-pressure-transition-period", pressure_transition));
  if (eviction_most_grace < 0)
    return fail(Code::invalid, "--eviction-max-pod-grace-period must be 0 or more, not " + std::to_string(eviction_most_grace));
  out.eviction_most_grace = std::chrono::seconds(eviction_most_grace);
  return out;
}

}  // namespace estiba::server
