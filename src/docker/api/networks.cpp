// /networks: list, inspect, create, remove, connect, disconnect, prune.
#include "network/bridge/networks.h"

#include <algorithm>

#include "base/strings.h"
#include "docker/api/routes.h"
#include "docker/containers.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/events.h"
#include "docker/filters.h"
#include "docker/json_writer.h"
#include "docker/lives.h"
#include "docker/times.h"
#include "io/loop.h"

namespace estiba::docker {

using network::bridge::AttachedContainer;
using network::bridge::NetworkInfo;
using network::bridge::NetworkSpec;
using network::bridge::Subnet;
using network::bridge::Texts;

namespace {

// --- printing --------------------------------------------------------------------------------------------------------

void put_ipam(JsonWriter& out, const NetworkInfo& info) {
  out.object("IPAM").put("Driver", info.ipam_driver);
  if (info.ipam_options.empty()) out.put_null("Options");
  else out.put_map("Options", info.ipam_options);
  out.array("Config");
  for (const Subnet& subnet : info.subnets) {
    out.object().put("Subnet", subnet.subnet);
    if (!subnet.range.empty()) out.put("IPRange", subnet.range);
    out.put("Gateway", subnet.gateway);
    if (!subnet.auxiliary.empty()) out.put_map("AuxiliaryAddresses", subnet.auxiliary);
    out.end();
  }
  out.end().end();
}

// The list tells of no containers, as dockerd's does since 1.28.
void put_network(JsonWriter& out, const NetworkInfo& info, bool containers) {
  out.object()
      .put("Name", info.name)
      .put("Id", info.id)
      .put("Created", docker_time(info.created))
      .put("Scope", "local")
      .put("Driver", info.driver);
  out.put("EnableIPv4", info.enable_ipv4).put("EnableIPv6", info.enable_ipv6);
  put_ipam(out, info);
  out.put("Internal", info.internal).put("Attachable", info.attachable).put("Ingress", false);
  out.object("ConfigFrom").put("Network", "").end();
  out.put("ConfigOnly", false).object("Containers");
  if (containers)
    for (const AttachedContainer& one : info.containers)
      out.object(one.container_id)
          .put("Name", one.container_name)
          .put("EndpointID", one.endpoint_id)
          .put("MacAddress", one.mac)
          .put("IPv4Address", one.ipv4)
          .put("IPv6Address", one.ipv6)
          .end();
  out.end().put_map("Options", info.options).put_map("Labels", info.labels).end();
}

// --- reading ---------------------------------------------------------------------------------------------------------

Result<Texts> texts_of(const json::Node& object, std::string_view key) {
  Texts texts;
  const json::Node* node = object.find(key);
  if (!node || node->is_null()) return texts;
  if (!node->is_object()) return fail(Code::invalid, std::string(key) + " must be an object of strings");
  for (const json::Node& item : *node) {
    if (!item.is_string()) return fail(Code::invalid, std::string(key) + "." + std::string(item.key()) + " must be a string");
    texts.emplace(item.key(), item.as_string());
  }
  return texts;
}

bool flag_of(const json::Node& object, std::string_view key, bool otherwise = false) {
  const json::Node* node = object.find(key);
  return node ? node->as_bool(otherwise) : otherwise;
}

Result<void> read_ipam(const json::Node& ipam, NetworkSpec& spec) {
  if (auto driver = ipam.string_at("Driver"); !driver.empty()) spec.ipam_driver = driver;
  spec.ipam_options = TRY(texts_of(ipam, "Options"));
  const json::Node* config = ipam.find("Config");
  if (!config || config->is_null()) return {};
  if (!config->is_array()) return fail(Code::invalid, "IPAM.Config must be a list");
  for (const json::Node& item : *config) {
    Subnet subnet{.subnet = std::string(item.string_at("Subnet")),
                  .range = std::string(item.string_at("IPRange")),
                  .gateway = std::string(item.string_at("Gateway"))};
    subnet.auxiliary = TRY(texts_of(item, item.find("AuxiliaryAddresses") ? "AuxiliaryAddresses" : "AuxAddress"));
    spec.subnets.push_back(std::move(subnet));
  }
  return {};
}

Result<NetworkSpec> read_spec(const json::Node& body) {
  if (auto scope = body.string_at("Scope"); scope == "swarm" || flag_of(body, "Ingress"))
    return fail(Code::unavailable,
                "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and "
                "try again.");
  if (flag_of(body, "ConfigOnly") || !body.string_at("ConfigFrom", "Network").empty())
    return fail(Code::invalid, "ConfigOnly and ConfigFrom are not offered by this engine: give each network its own configuration");
  NetworkSpec spec;
  spec.name = body.string_at("Name");
  if (auto driver = body.string_at("Driver"); !driver.empty()) spec.driver = driver;
  spec.internal = flag_of(body, "Internal");
  spec.attachable = flag_of(body, "Attachable");
  spec.enable_ipv4 = flag_of(body, "EnableIPv4", true);
  spec.enable_ipv6 = flag_of(body, "EnableIPv6");
  spec.options = TRY(texts_of(body, "Options"));
  spec.labels = TRY(texts_of(body, "Labels"));
  if (const json::Node* ipam = body.find("IPAM"); ipam && ipam->is_object()) TRY(read_ipam(*ipam, spec));
  return spec;
}

/// Whether some container, running or not, is to be in the network.
bool is_used(Daemon& daemon, const NetworkInfo& info) {
  if (!info.containers.empty()) return true;
  return std::ranges::any_of(daemon.containers().all(),
                             [&](const ContainerRef& container) { return container->endpoints.root().find(info.name) != nullptr; });
}

Result<bool> fits(Daemon& daemon, const NetworkInfo& info, const Filters& filters) {
  if (!filters.exact("driver", info.driver) || !filters.exact("scope", "local") || !filters.prefix("id", info.id) ||
      !filters.contains("name", info.name))
    return false;
  if (!filters.labels(info.labels)) return false;
  if (filters.has("type")) {
    for (const std::string& type : filters.get("type"))
      if (type != "custom" && type != "builtin") return fail(Code::invalid, "invalid filter: 'type'='" + type + "'");
    if (!filters.exact("type", info.predefined() ? "builtin" : "custom")) return false;
  }
  if (filters.has("dangling")) {
    bool dangling = TRY(filters.flag("dangling", true));
    if (info.predefined() || dangling == is_used(daemon, info)) return false;
  }
  return true;
}

void tell(Daemon& daemon, const NetworkInfo& info, const char* action) {
  daemon.events().publish("network", action, info.id, {{"name", info.name}, {"type", info.driver}});
}

// --- handlers --------------------------------------------------------------------------------------------------------

Task<Result<void>> list(Daemon& daemon, ApiRequest& request, io::Response& response) {
  Filters filters =
      CO_TRY(Filters::parse(request.query("filters"), {"dangling", "driver", "id", "label", "label!", "name", "scope", "type"}));
  JsonWriter out;
  out.array();
  for (const NetworkInfo& info : daemon.networks().list())
    if (CO_TRY(fits(daemon, info, filters))) put_network(out, info, request.minor < 28);
  send_json(response, 200, out.end().take());
  co_return {};
}

Task<Result<void>> inspect(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto info = CO_TRY(daemon.networks().find(request.param("id")));
  if (auto scope = request.query("scope"); !scope.empty() && scope != "local")
    co_return fail(Code::not_found, "network " + request.param("id") + " not found");
  JsonWriter out;
  put_network(out, info, true);
  send_json(response, 200, out.take());
  co_return {};
}

Task<Result<void>> create(Daemon& daemon, ApiRequest& request, io::Response& response) {
  json::Document body = CO_TRY(co_await request.json_body());
  NetworkInfo made = CO_TRY(co_await daemon.networks().create(CO_TRY(read_spec(body.root()))));
  tell(daemon, made, "create");
  send_json(response, 201, JsonWriter().object().put("Id", made.id).put("Warning", "").end().take());
  co_return {};
}

Task<Result<void>> remove(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto info = CO_TRY(daemon.networks().find(request.param("id")));
  CO_TRY(co_await daemon.networks().remove(info.id));
  tell(daemon, info, "destroy");
  send_no_content(response);
  co_return {};
}

Task<Result<void>> connect(Daemon& daemon, ApiRequest& request, io::Response& response) {
  json::Document body = CO_TRY(co_await request.json_body());
  auto container = CO_TRY(daemon.containers().find(body.root().string_at("Container")));
  json::Document settings;
  const json::Node* endpoint = body.root().find("EndpointConfig");
  settings.set_root(endpoint && endpoint->is_object() ? settings.copy(*endpoint) : settings.make_object());
  CO_TRY(co_await daemon.lives().connect(std::move(container), request.param("id"), std::move(settings)));
  response.send(200);
  co_return {};
}

Task<Result<void>> disconnect(Daemon& daemon, ApiRequest& request, io::Response& response) {
  json::Document body = CO_TRY(co_await request.json_body());
  auto container = CO_TRY(daemon.containers().find(body.root().string_at("Container")));
  CO_TRY(co_await daemon.lives().disconnect(std::move(container), request.param("id"), flag_of(body.root(), "Force")));
  response.send(200);
  co_return {};
}

Task<Result<void>> prune(Daemon& daemon, ApiRequest& request, io::Response& response) {
  Filters filters = CO_TRY(Filters::parse(request.query("filters"), {"label", "label!", "until"}));
  std::optional<WallTime> until;
  for (const std::string& text : filters.get("until")) until = CO_TRY(parse_time(text, daemon.loop().wall_now()));
  std::vector<std::string> removed;
  for (const NetworkInfo& info : daemon.networks().list()) {
    if (info.predefined() || (until && info.created >= *until) || !filters.labels(info.labels) || is_used(daemon, info)) continue;
    if (!co_await daemon.networks().remove(info.id)) continue;  // it has come into use meanwhile
    tell(daemon, info, "destroy");
    removed.push_back(info.name);
  }
  daemon.events().publish("network", "prune", "", {{"reclaimed", "0"}});
  JsonWriter out;
  out.object();
  if (removed.empty()) out.put_null("NetworksDeleted");
  else out.put_list("NetworksDeleted", removed);
  send_json(response, 200, out.end().take());
  co_return {};
}

}  // namespace

void add_network_routes(Router& router) {
  router.get("/networks", list);
  router.get("/networks/{id}", inspect);
  router.post("/networks/create", create);
  router.post("/networks/prune", prune);
  router.post("/networks/{id}/connect", connect);
  router.post("/networks/{id}/disconnect", disconnect);
  router.del("/networks/{id}", remove);
}

}  // namespace estiba::docker
