#include "base/strings.h"
#include "cri/specs.h"
#include "network/dns/resolv_conf.h"
#include "os/file.h"

namespace estiba::cri {

using v1::NamespaceMode;

Result<void> check(const v1::PodSandboxConfig& config) {
  const auto& name = config.metadata;
  if (name.name.empty() || name.ns.empty() || name.uid.empty())
    return fail(Code::invalid, "the sandbox's config.metadata must have name, namespace and uid");
  const auto& security = config.linux.security_context;
  const auto& users = security.namespace_options.userns_options;
  if (users && users->mode != NamespaceMode::node)
    return fail(Code::unsupported, "sandbox " + name.ns + "/" + name.name + ": user namespaces are not offered; leave userns_options out");
  if (!config.log_directory.empty() && !config.log_directory.starts_with('/'))
    return fail(Code::invalid, "config.log_directory must be an absolute path, not " + quoted(config.log_directory));
  for (const auto& port : config.port_mappings)
    if (port.container_port < 0 || port.container_port > 65535 || port.host_port < 0 || port.host_port > 65535)
      return fail(Code::invalid, "config.port_mappings: ports are between 0 and 65535");
  return {};
}

static std::string resolv_conf(const Options& options, const v1::DNSConfig& dns) {
  if (dns.servers.empty() && dns.searches.empty() && dns.options.empty()) return os::read_file(options.resolv_conf).value_or(std::string());
  network::ResolvConf out{.nameservers = dns.servers, .searches = dns.searches, .options = {}};
  for (const std::string& option : dns.options) {
    const auto [name, value] = split_once(option, ':');
    out.options.emplace_back(name, value ? std::optional(std::string(*value)) : std::nullopt);
  }
  return out.text();
}

engine::SandboxSpec sandbox_spec(const Options& options, const SandboxRecord& record, const std::string& netns) {
  const v1::PodSandboxConfig& config = record.config;
  const auto& spaces = config.linux.security_context.namespace_options;
  engine::SandboxSpec out;
  out.uid = record.id;
  out.name = config.metadata.name;
  out.ns = config.metadata.ns;
  out.owner = "cri";
  if (!record.host_network()) out.hostname = config.hostname.empty() ? config.metadata.name.substr(0, 63) : config.hostname;
  out.netns_path = netns;
  out.host_pid = spaces.pid == NamespaceMode::node;
  out.share_process_namespace = spaces.pid == NamespaceMode::pod;
  out.host_ipc = spaces.ipc == NamespaceMode::node;
  out.resolv_conf = resolv_conf(options, config.dns_config);
  out.hosts = os::read_file("/etc/hosts").value_or(std::string());
  if (!out.hostname.empty())
    for (const std::string& ip : record.ips) out.hosts += ip + "\t" + out.hostname + "\n";
  out.sysctls = config.linux.sysctls;
  // The kubelet has made the pod's group; ours lies within, so that removing it takes nothing of others.
  const std::string& parent = config.linux.cgroup_parent;
  out.cgroup_parent = (parent.empty() ? options.cgroup_root : parent.starts_with('/') ? parent : "/" + parent) + "/" + record.id;
  out.log_dir = config.log_directory;
  out.labels = config.labels;
  out.annotations = config.annotations;
  return out;
}

network::PodRequest pod_request(const SandboxRecord& record) {
  const v1::PodSandboxConfig& config = record.config;
  network::PodRequest out;
  out.uid = record.id;
  out.ns = config.metadata.ns;
  out.name = config.metadata.name;
  for (const auto& port : config.port_mappings) {
    if (port.host_port == 0) continue;
    const auto protocol = port.protocol == v1::Protocol::udp    ? network::Protocol::udp
                          : port.protocol == v1::Protocol::sctp ? network::Protocol::sctp
                                                                : network::Protocol::tcp;
    out.host_ports.push_back({protocol, uint16_t(port.host_port), uint16_t(port.container_port), port.host_ip});
  }
  out.labels.assign(config.labels.begin(), config.labels.end());
  return out;
}

}  // namespace estiba::cri
