#include "apiserver/aggregation/remote.h"

#include <random>

#include "apiserver/edit.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

Result<json::Document> read(const Cluster& cluster, std::string_view resource, std::string_view ns, std::string_view name) {
  auto object = cluster.find("", resource, ns, name);
  if (!object) return std::unexpected(std::move(object.error()));
  return json::Document::parse(object->object->json());
}

// The Service's port of this number.
const json::Node* port_of(const json::Node& service, int64_t number) {
  const json::Node* ports = service.at("spec", "ports");
  for (size_t i = 0; present(ports) && i < ports->size(); ++i)
    if (const json::Node* port = (*ports)[i].find("port"); port && port->as_int() == number) return &(*ports)[i];
  return nullptr;
}

// Addresses of ready endpoints with their port, over all slices of a service.
struct Endpoints {
  size_t slices = 0;
  std::vector<std::string> addresses;
};

Endpoints endpoints_of(const Cluster& cluster, const RemoteService& remote, std::string_view port_name) {
  Endpoints out;
  auto slices = cluster.all("discovery.k8s.io", "endpointslices", remote.service_namespace);
  if (!slices) return out;
  for (const model::ObjectRef& slice : *slices) {
    if (slice.meta().label("kubernetes.io/service-name") != remote.service_name) continue;
    ++out.slices;
    auto doc = json::Document::parse(slice.object->json());
    if (!doc) continue;
    const json::Node *ports = doc->root().find("ports"), *endpoints = doc->root().find("endpoints");
    for (size_t i = 0; present(ports) && present(endpoints) && i < ports->size(); ++i) {
      const json::Node* number = (*ports)[i].find("port");
      if ((*ports)[i].string_at("name") != port_name || !present(number)) continue;
      for (const json::Node& endpoint : *endpoints) {
        const json::Node *ready = endpoint.at("conditions", "ready"), *addresses = endpoint.find("addresses");
        if ((present(ready) && !ready->as_bool()) || !present(addresses) || addresses->empty()) continue;
        std::string host((*addresses)[0].as_string());
        if (host.find(':') != std::string::npos) host = "[" + host + "]";
        out.addresses.push_back(host + ":" + std::to_string(number->as_int().value_or(0)));
      }
    }
  }
  return out;
}

// As in a header's name: what is no token character is percent-encoded (client-go, transport.headerKeyEscape).
std::string header_key(std::string_view key) { return io::percent_encode(key, "!#$&'*+^`|"); }

}  // namespace

std::optional<RemoteService> read_remote(const json::Node& object, const FrontProxy& front) {
  const json::Node* spec = object.find("spec");
  const json::Node* service = spec ? spec->find("service") : nullptr;
  if (!present(service)) return std::nullopt;
  auto number = [](const json::Node* node, int64_t otherwise) { return present(node) ? node->as_int().value_or(otherwise) : otherwise; };
  RemoteService out;
  out.name = object.string_at("metadata", "name");
  out.group = spec->string_at("group");
  out.version = spec->string_at("version");
  out.service_namespace = service->string_at("namespace");
  out.service_name = service->string_at("name");
  out.port = static_cast<uint16_t>(number(service->find("port"), 443));
  const json::Node* insecure = spec->find("insecureSkipTLSVerify");
  out.insecure = present(insecure) && insecure->as_bool();
  out.group_priority = number(spec->find("groupPriorityMinimum"), 0);
  out.version_priority = number(spec->find("versionPriority"), 0);
  const json::Node* conditions = object.at("status", "conditions");
  for (size_t i = 0; present(conditions) && i < conditions->size(); ++i)
    if ((*conditions)[i].string_at("type") == "Available") out.available = (*conditions)[i].string_at("status") == "True";
  auto bundle = base64_decode(spec->string_at("caBundle"));
  if (bundle) out.ca_pem = std::move(*bundle);
  io::TlsClientOptions options{.ca_pem = out.ca_pem, .insecure = out.insecure};
  options.certificate_pem = front.certificate_pem;
  options.key_pem = front.key_pem;
  options.server_name = out.service_name + "." + out.service_namespace + ".svc";
  auto tls = io::make_tls_client(options);
  if (tls) out.tls = std::move(*tls);
  else out.tls_error = tls.error().message;
  return out;
}

Result<std::string> remote_address(const Cluster& cluster, const RemoteService& remote) {
  json::Document service = TRY(read(cluster, "services", remote.service_namespace, remote.service_name));
  if (service.root().string_at("spec", "type") == "ExternalName")
    return std::string(service.root().string_at("spec", "externalName")) + ":" + std::to_string(remote.port);
  const json::Node* port = port_of(service.root(), remote.port);
  if (!port) return fail(Code::unavailable, "service " + quoted(remote.service_name) + " has no port " + std::to_string(remote.port));
  Endpoints endpoints = endpoints_of(cluster, remote, port->string_at("name"));
  if (endpoints.addresses.empty()) return fail(Code::unavailable, "no endpoints available for service " + quoted(remote.service_name));
  static thread_local std::minstd_rand random{std::random_device{}()};
  return std::move(endpoints.addresses[random() % endpoints.addresses.size()]);
}

std::optional<Availability> check_service(const Cluster& cluster, const RemoteService& remote) {
  const std::string where = "service/" + remote.service_name + " in " + quoted(remote.service_namespace);
  auto service = read(cluster, "services", remote.service_namespace, remote.service_name);
  if (!service && service.error().code == Code::not_found) return Availability{"False", "ServiceNotFound", where + " is not present"};
  if (!service) return Availability{"Unknown", "ServiceAccessError", where + " cannot be checked due to: " + service.error().message};
  if (service->root().string_at("spec", "type") != "ClusterIP") return std::nullopt;
  const json::Node* port = port_of(service->root(), remote.port);
  if (!port) return Availability{"False", "ServicePortError", where + " is not listening on port " + std::to_string(remote.port)};
  Endpoints endpoints = endpoints_of(cluster, remote, port->string_at("name"));
  if (endpoints.slices == 0) return Availability{"False", "EndpointsNotFound", "cannot find endpointslices for " + where};
  if (endpoints.addresses.empty()) {
    return Availability{"False", "MissingEndpoints",
                        "endpointslices for " + where + " have no addresses with port name " + quoted(port->string_at("name"))};
  }
  return std::nullopt;
}

io::Headers identity_headers(const User& user) {
  io::Headers out;
  out.add("X-Remote-User", user.name);
  if (!user.uid.empty()) out.add("X-Remote-Uid", user.uid);
  for (const std::string& group : user.groups) out.add("X-Remote-Group", group);
  for (const auto& [key, values] : user.extra)
    for (const std::string& value : values) out.add("X-Remote-Extra-" + header_key(key), value);
  return out;
}

}  // namespace estiba::apiserver
