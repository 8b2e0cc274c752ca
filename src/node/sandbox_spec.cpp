#include "node/sandbox_spec.h"

#include <algorithm>

#include "base/strings.h"
#include "network/dns/resolv_conf.h"
#include "node/container_spec.h"
#include "node/resources.h"
#include "node/status.h"
#include "node/swap.h"

namespace estiba::node {

using namespace model::core_v1;

std::vector<network::HostPort> host_ports(const Pod& pod) {
  std::vector<network::HostPort> out;
  const auto add = [&](const Container& container) {
    for (const ContainerPort& port : container.ports)
      if (port.hostPort.value_or(0) > 0)
        out.push_back({port.protocol == "UDP"    ? network::Protocol::udp
                       : port.protocol == "SCTP" ? network::Protocol::sctp
                                                 : network::Protocol::tcp,
                       uint16_t(*port.hostPort), uint16_t(port.containerPort), port.hostIP});
  };
  for (const Container& container : pod.spec.containers) add(container);
  for (const Container& container : pod.spec.initContainers)
    if (is_sidecar(container)) add(container);
  return out;
}

std::string log_directory(const Options& options, const Pod& pod) {
  return options.log_root + "/" + pod.metadata.namespace_ + "_" + pod.metadata.name + "_" + pod.metadata.uid;
}

static std::string host_name(const Pod& pod) {
  const bool overridden = !pod.spec.hostnameOverride.empty();
  std::string name = overridden ? pod.spec.hostnameOverride : pod.spec.hostname.empty() ? pod.metadata.name : pod.spec.hostname;
  if (name.size() > 63) name.resize(63);
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
  return name;
}

std::string hosts_file(const Pod& pod, const std::vector<std::string>& ips, const std::string& cluster_domain,
                       const std::string& host_file) {
  std::string out = "# Kubernetes-managed hosts file.\n";
  if (pod.spec.hostNetwork.value_or(false)) {
    out = "# Kubernetes-managed hosts file (host network).\n" + host_file;
  } else {
    out +=
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost "
        "ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n";
    const std::string host = host_name(pod);
    for (const std::string& ip : ips) {
      out += ip;
      if (!pod.spec.subdomain.empty() && pod.spec.hostnameOverride.empty())
        out += "\t" + host + "." + pod.spec.subdomain + "." + pod.metadata.namespace_ + ".svc." + cluster_domain;
      out += "\t" + host + "\n";
    }
  }
  if (!pod.spec.hostAliases.empty()) {
    out += "\n# Entries added by HostAliases.\n";
    for (const HostAlias& alias : pod.spec.hostAliases) out += alias.ip + "\t" + join(alias.hostnames, "\t") + "\n";
  }
  return out;
}

static std::string resolv_conf(const Options& options, const Pod& pod, const std::string& dns_address) {
  network::PodDns dns{.policy = pod.spec.dnsPolicy.empty() ? "ClusterFirst" : pod.spec.dnsPolicy,
                      .host_network = pod.spec.hostNetwork.value_or(false),
                      .ns = pod.metadata.namespace_,
                      .config = {}};
  if (pod.spec.dnsConfig) {
    dns.config.nameservers = pod.spec.dnsConfig->nameservers;
    dns.config.searches = pod.spec.dnsConfig->searches;
    for (const auto& option : pod.spec.dnsConfig->options)
      dns.config.options.emplace_back(option.name, option.value.empty() ? std::nullopt : std::optional(option.value));
  }
  return network::pod_resolv_conf(dns, {dns_address, options.cluster_domain},
                                  network::ResolvConf::parse(read_text_file(options.resolv_conf)));
}

// One pod alone cannot take the machine's last process.
static int64_t fair_share_of_pids() {
  static const int64_t share = [] {
    int64_t most = 32768;
    for (const char* file : {"/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"}) {
      const auto number = parse_number<int64_t>(trim(read_text_file(file)));
      if (number && (*number < most || file == std::string_view("/proc/sys/kernel/pid_max"))) most = *number;
    }
    return std::max<int64_t>(1024, most / 4);
  }();
  return share;
}

Result<engine::SandboxSpec> sandbox_spec(const Options& options, const Pod& pod, const std::string& netns,
                                         const std::vector<std::string>& ips, const std::string& dns_address) {
  engine::SandboxSpec out;
  out.uid = pod.metadata.uid;
  out.name = pod.metadata.name;
  out.ns = pod.metadata.namespace_;
  if (!pod.spec.hostNetwork.value_or(false)) {
    out.hostname = host_name(pod);
    if (pod.spec.setHostnameAsFQDN.value_or(false) && !pod.spec.subdomain.empty() && pod.spec.hostnameOverride.empty()) {
      out.hostname += "." + pod.spec.subdomain + "." + pod.metadata.namespace_ + ".svc." + options.cluster_domain;
      if (out.hostname.size() > 64)
        return fail(Code::invalid, "the fully qualified host name " + quoted(out.hostname) + " is longer than 64 characters");
    }
  }
  out.netns_path = netns;
  out.host_pid = pod.spec.hostPID.value_or(false);
  out.host_ipc = pod.spec.hostIPC.value_or(false);
  out.share_process_namespace = pod.spec.shareProcessNamespace.value_or(false);
  out.resolv_conf = resolv_conf(options, pod, dns_address);
  out.hosts = hosts_file(pod, ips, options.cluster_domain, read_text_file("/etc/hosts"));
  if (pod.spec.securityContext)
    for (const Sysctl& sysctl : pod.spec.securityContext->sysctls) out.sysctls[sysctl.name] = sysctl.value;
  const std::string qos = qos_class(pod);
  out.cgroup_parent = options.cgroup_root +
                      (qos == "Guaranteed"  ? ""
                       : qos == "Burstable" ? "/burstable"
                                            : "/besteffort") +
                      "/pod" + pod.metadata.uid;
  out.resources = pod_resources(pod);
  limit_swap_of_pod(out.resources, options);
  if (options.pod_max_pids >= 0) out.resources.pids = options.pod_max_pids > 0 ? options.pod_max_pids : fair_share_of_pids();
  out.log_dir = log_directory(options, pod);
  out.labels = pod.metadata.labels;
  return out;
}

}  // namespace estiba::node
