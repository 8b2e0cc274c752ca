#include "base/strings.h"
#include "cri/specs.h"
#include "network/dns/resolv_conf.h"
#include "os/file.h"

namespace estiba::cri {

using v1::NamespaceMode;

static Result<void> check_users(const v1::UserNamespace& users, const v1::NamespaceOption& spaces) {
  if (users.mode == NamespaceMode::node) {
    if (users.uids.empty() && users.gids.empty()) return {};
    return fail(Code::invalid, "mappings are for mode POD only");
  }
  if (users.mode != NamespaceMode::pod) return fail(Code::unsupported, "mode must be POD or NODE");
  if (users.uids.empty() || users.gids.empty()) return fail(Code::invalid, "mode POD needs mappings of uids and gids");
  for (auto [mode, what] : {std::pair(spaces.network, "network"), std::pair(spaces.pid, "pid"), std::pair(spaces.ipc, "ipc")})
    if (mode == NamespaceMode::node)
      return fail(Code::invalid, "a user namespace cannot be with the host's " + std::string(what) + " namespace");
  return {};
}

std::vector<engine::UserNamespace::Range> ranges_of(const std::vector<v1::IDMapping>& mappings) {
  std::vector<engine::UserNamespace::Range> out;
  for (const v1::IDMapping& mapping : mappings) out.push_back({mapping.container_id, mapping.host_id, mapping.length});
  return out;
}

Result<void> check(const v1::PodSandboxConfig& config) {
  const auto& name = config.metadata;
  if (name.name.empty() || name.ns.empty() || name.uid.empty())
    return fail(Code::invalid, "the sandbox's config.metadata must have name, namespace and uid");
  const auto& security = config.linux.security_context;
  const auto& users = security.namespace_options.userns_options;
  if (users) TRY_AS("sandbox " + name.ns + "/" + name.name + ": userns_options", check_users(*users, security.namespace_options));
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

engine::SandboxSpec sandbox_spec(const Options& options, const SandboxRecord& record, const network::PodNet& net) {
  const v1::PodSandboxConfig& config = record.config;
  const auto& spaces = config.linux.security_context.namespace_options;
  engine::SandboxSpec out;
  out.uid = record.id;
  out.name = config.metadata.name;
  out.ns = config.metadata.ns;
  out.owner = "cri";
  if (!record.host_network()) out.hostname = config.hostname.empty() ? config.metadata.name.substr(0, 63) : config.hostname;
  out.netns_path = net.netns_path;
  if (const v1::UserNamespace* users = record.users()) out.users = {net.userns_path, ranges_of(users->uids), ranges_of(users->gids)};
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
  if (const v1::UserNamespace* users = record.users()) {
    for (const auto& range : ranges_of(users->uids)) out.uids.push_back({range.inside, range.outside, range.size});
    for (const auto& range : ranges_of(users->gids)) out.gids.push_back({range.inside, range.outside, range.size});
  }
  out.labels.assign(config.labels.begin(), config.labels.end());
  return out;
}

}  // namespace estiba::cri
