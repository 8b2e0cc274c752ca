#include "apiserver/proxy/location.h"

#include <arpa/inet.h>

#include <random>

#include "apiserver/api_errors.h"
#include "apiserver/edit.h"
#include "base/strings.h"
#include "io/http.h"

namespace estiba::apiserver {
namespace {

std::string join_host_port(std::string_view host, std::string_view port) {
  std::string out = host.find(':') == host.npos ? std::string(host) : "[" + std::string(host) + "]";
  if (!port.empty()) out.append(":").append(port);
  return out;
}

Result<json::Document> read(const Cluster& cluster, std::string_view resource, std::string_view ns, std::string_view name) {
  auto object = cluster.find("", resource, ns, name);
  if (!object) return std::unexpected(std::move(object.error()));
  return json::Document::parse(object->object->json());
}

std::string number_at(const json::Node& node, std::string_view key) {
  const json::Node* number = node.find(key);
  return present(number) ? std::to_string(number->as_int().value_or(0)) : std::string{};
}

Result<ProxyLocation> pod_location(const Cluster& cluster, std::string_view ns, ProxyName asked) {
  json::Document pod = TRY(read(cluster, "pods", ns, asked.name));
  const json::Node* containers = pod.root().at("spec", "containers");
  for (size_t i = 0; containers && asked.port.empty() && i < containers->size(); ++i) {
    const json::Node* ports = (*containers)[i].find("ports");
    if (present(ports) && !ports->empty()) asked.port = number_at((*ports)[0], "containerPort");
  }
  const json::Node* ips = pod.root().at("status", "podIPs");
  std::string_view ip = present(ips) && !ips->empty() ? (*ips)[0].string_at("ip") : pod.root().string_at("status", "podIP");
  if (!is_global_unicast(ip)) return bad_request("address not allowed");
  return ProxyLocation{asked.scheme, join_host_port(ip, asked.port), false};
}

// Endpoints may be written by anybody who may write Endpoints: the proxy leads to pods of the same namespace only.
bool is_pod_address(const Cluster& cluster, std::string_view ns, const json::Node& address) {
  const json::Node* target = address.find("targetRef");
  if (!present(target) || target->string_at("namespace") != ns) return false;
  auto pod = read(cluster, "pods", ns, target->string_at("name"));
  const json::Node* ips = pod ? pod->root().at("status", "podIPs") : nullptr;
  if (!present(ips)) return false;
  return std::any_of(ips->begin(), ips->end(), [&](const json::Node& ip) { return ip.string_at("ip") == address.string_at("ip"); });
}

// Beginning anywhere, each once.
template <class Visit>
void around(const json::Node& list, Visit visit) {
  if (list.empty()) return;
  static thread_local std::minstd_rand random{std::random_device{}()};
  const size_t begin = random() % list.size();
  for (size_t i = 0; i < list.size(); ++i)
    if (visit(list[(begin + i) % list.size()])) return;
}

Result<ProxyLocation> service_location(const Cluster& cluster, std::string_view ns, std::string_view id, ProxyName asked) {
  if (auto number = parse_number<int64_t>(asked.port)) {
    json::Document service = TRY(read(cluster, "services", ns, asked.name));
    const json::Node* ports = service.root().at("spec", "ports");
    const json::Node* found = nullptr;
    for (size_t i = 0; present(ports) && i < ports->size() && !found; ++i)
      if (const json::Node* port = (*ports)[i].find("port"); port && port->as_int() == number) found = &(*ports)[i];
    if (!found) return fail(Code::unavailable, "no service port " + std::to_string(*number) + " found for service " + quoted(asked.name));
    asked.port = found->string_at("name");
  }
  json::Document endpoints = TRY(read(cluster, "endpoints", ns, asked.name));
  const json::Node* subsets = endpoints.root().find("subsets");
  if (!present(subsets) || subsets->empty()) return fail(Code::unavailable, "no endpoints available for service " + quoted(asked.name));
  ProxyLocation out{asked.scheme, {}, false};
  around(*subsets, [&](const json::Node& subset) {
    const json::Node *addresses = subset.find("addresses"), *ports = subset.find("ports");
    if (!present(addresses) || !present(ports)) return false;
    for (const json::Node& port : *ports) {
      if (port.string_at("name") != asked.port) continue;
      around(*addresses, [&](const json::Node& address) {
        if (!is_pod_address(cluster, ns, address)) return false;
        out.authority = join_host_port(address.string_at("ip"), number_at(port, "port"));
        return true;
      });
    }
    return !out.authority.empty();
  });
  if (out.authority.empty()) return fail(Code::unavailable, "no endpoints available for service " + quoted(id));
  return out;
}

Result<ProxyLocation> node_location(const Cluster& cluster, ProxyName asked) {
  json::Document node = TRY(read(cluster, "nodes", "", asked.name));
  // The preference of --kubelet-preferred-address-types, without names that would have to be looked up.
  std::string_view ip;
  const json::Node* addresses = node.root().at("status", "addresses");
  for (std::string_view type : {"InternalIP", "ExternalIP"})
    for (size_t i = 0; present(addresses) && ip.empty() && i < addresses->size(); ++i)
      if ((*addresses)[i].string_at("type") == type) ip = (*addresses)[i].string_at("address");
  if (ip.empty()) return fail(Code::unavailable, "node " + asked.name + " has no address yet");
  if (!is_global_unicast(ip)) return bad_request("address not allowed");
  const json::Node* daemon = node.root().at("status", "daemonEndpoints", "kubeletEndpoint");
  std::string own = present(daemon) ? number_at(*daemon, "Port") : std::string{};
  if (own.empty()) own = "10250";
  if (asked.port.empty() || asked.port == own) return ProxyLocation{"https", join_host_port(ip, own), true};
  return ProxyLocation{asked.scheme, join_host_port(ip, asked.port), false};
}

}  // namespace

Result<ProxyName> parse_proxy_name(std::string_view kind, std::string_view id) {
  auto parts = split(id, ':');
  ProxyName out;
  if (parts.size() == 1) out.name = parts[0];
  else if (parts.size() == 2) out = {{}, std::string(parts[0]), std::string(parts[1])};
  else if (parts.size() == 3) out = {std::string(parts[0]), std::string(parts[1]), std::string(parts[2])};
  const bool known = out.scheme.empty() || out.scheme == "http" || out.scheme == "https";
  if (out.name.empty() || !known) return bad_request("invalid " + std::string(kind) + " request " + quoted(id));
  return out;
}

Result<ProxyLocation> proxy_location(const Cluster& cluster, std::string_view resource, std::string_view ns, std::string_view id) {
  const std::string_view kind = resource == "pods" ? "pod" : resource == "services" ? "service" : "node";
  ProxyName asked = TRY(parse_proxy_name(kind, id));
  if (asked.scheme.empty()) asked.scheme = "http";
  if (resource == "pods" || resource == "nodes") {
    // Neither has named ports here; anything but a number could change the URL's meaning.
    if (!asked.port.empty() && !parse_number<uint16_t>(asked.port))
      return bad_request("invalid " + std::string(kind) + " request " + quoted(id));
  }
  if (resource == "pods") return pod_location(cluster, ns, std::move(asked));
  if (resource == "services") return service_location(cluster, ns, id, std::move(asked));
  return node_location(cluster, std::move(asked));
}

std::string clean_proxy_path(std::string_view raw_tail) {
  if (raw_tail.empty()) return {};
  std::vector<std::string_view> kept;
  for (std::string_view part : split(raw_tail, '/')) {
    auto plain = io::percent_decode(part);
    if (part.empty() || (plain && *plain == ".")) continue;
    if (plain && *plain == "..") {
      if (!kept.empty()) kept.pop_back();
      continue;
    }
    kept.push_back(part);
  }
  std::string out;
  for (std::string_view part : kept) out.append("/").append(part);
  if (out.empty() || raw_tail.ends_with('/')) out += '/';
  return out;
}

bool is_global_unicast(std::string_view address) {
  const std::string text(address);
  unsigned char b[16];
  if (inet_pton(AF_INET, text.c_str(), b) == 1) {
    const uint32_t ip = uint32_t(b[0]) << 24 | uint32_t(b[1]) << 16 | uint32_t(b[2]) << 8 | b[3];
    return ip != 0 && ip != 0xffffffff && b[0] != 127 && (b[0] & 0xf0) != 0xe0 && (ip >> 16) != 0xa9fe;
  }
  if (inet_pton(AF_INET6, text.c_str(), b) != 1) return false;
  const bool zeros = std::all_of(b, b + 15, [](unsigned char c) { return c == 0; });
  const bool link_local = b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
  return !(zeros && b[15] <= 1) && b[0] != 0xff && !link_local;
}

}  // namespace estiba::apiserver
