#include "cli/compose/resources.h"

#include <set>

#include "base/strings.h"
#include "cli/compose/body.h"
#include "cli/docker/session.h"

namespace estiba::cli::compose {
namespace {

using docker::Builder;
using docker::Client;
using docker::Object;
using docker::Request;
using docker::segment;
using json::Node;

bool flag(const Node& node, std::string_view key) {
  const Node* found = node.find(key);
  return found && found->as_bool();
}

void label_resource(const Project& project, const Node& resource, std::string_view label, Object labels) {
  if (const Node* given = resource.find("labels"))
    for (const Node& each : *given) labels.set(each.key(), each.as_string());
  labels.set(label, resource.key()).set(label::project, project.name).set(label::version, compose_version);
}

/// Whether it is there.
Result<bool> is_there(Client& client, const std::string& path) {
  auto found = client.call({.path = path});
  if (!found && found.error().code == Code::not_found) return false;
  TRY(std::move(found));
  return true;
}

void network_body(const Project& project, const Node& network, Object body) {
  body.set("Name", network.string_at("name")).set("CheckDuplicate", true);
  const std::string_view driver = network.string_at("driver");
  body.set("Driver", driver.empty() || driver == "default" ? "bridge" : driver);
  body.set("Internal", flag(network, "internal")).set("Attachable", flag(network, "attachable"));
  if (network.find("enable_ipv6")) body.set("EnableIPv6", flag(network, "enable_ipv6"));
  if (network.find("enable_ipv4")) body.set("EnableIPv4", flag(network, "enable_ipv4"));
  if (const Node* options = network.find("driver_opts"); options && options->is_object())
    body.put("Options", body.document().copy(*options));
  label_resource(project, network, label::network, body.object("Labels"));
  const Node* ipam = network.find("ipam");
  if (!ipam || !ipam->is_object()) return;
  Object out = body.object("IPAM");
  out.set("Driver", ipam->string_at("driver").empty() ? "default" : ipam->string_at("driver"));
  if (const Node* config = ipam->find("config"))
    for (const Node& each : *config) {
      Object pool = out.append("Config");
      pool.maybe("Subnet", std::string(each.string_at("subnet"))).maybe("Gateway", std::string(each.string_at("gateway")));
      pool.maybe("IPRange", std::string(each.string_at("ip_range")));
      if (const Node* more = each.find("aux_addresses")) pool.put("AuxiliaryAddresses", pool.document().copy(*more));
    }
}

std::set<std::string> used_networks(const Project& project, const std::vector<std::string>& services) {
  std::set<std::string> out;
  for (const auto& name : services)
    if (const Node* service = project.service(name))
      for (const auto& [key, network] : networks_of(project, *service)) out.insert(key);
  return out;
}

std::set<std::string> used_volumes(const Project& project, const std::vector<std::string>& services) {
  std::set<std::string> out;
  for (const auto& name : services)
    if (const Node* mounts = project.service(name) ? project.service(name)->find("volumes") : nullptr)
      for (const Node& mount : *mounts)
        if (mount.string_at("type") == "volume" && !mount.string_at("source").empty()) out.emplace(mount.string_at("source"));
  return out;
}

}  // namespace

Result<void> ensure_networks(Context& context, const Project& project, const std::vector<std::string>& services) {
  Client& client = *TRY(context.client());
  for (const auto& key : used_networks(project, services)) {
    const Node& network = *project.resource("networks", key);
    const std::string name(network.string_at("name"));
    if (TRY(is_there(client, "/networks/" + segment(name)))) continue;
    if (flag(network, "external"))
      return fail(Code::not_found,
                  "network " + name + " declared as external, but could not be found; make it with 'network create " + name + "'");
    context.tell("Network", name, "Creating");
    if (context.dry_run) continue;
    Builder body;
    network_body(project, network, body);
    auto made = client.call({.method = "POST", .path = "/networks/create", .body = body.text()});
    // Somebody else was first.
    if (!made && made.error().code != Code::conflict) return std::unexpected(std::move(made.error()).context("network " + name));
    context.tell("Network", name, "Created");
  }
  return {};
}

Result<void> ensure_volumes(Context& context, const Project& project, const std::vector<std::string>& services) {
  Client& client = *TRY(context.client());
  for (const auto& key : used_volumes(project, services)) {
    const Node& volume = *project.resource("volumes", key);
    const std::string name(volume.string_at("name"));
    if (TRY(is_there(client, "/volumes/" + segment(name)))) continue;
    if (flag(volume, "external"))
      return fail(Code::not_found, "external volume " + quoted(name) + " not found; make it with 'volume create " + name + "'");
    context.tell("Volume", quoted(name), "Creating");
    if (context.dry_run) continue;
    Builder body;
    body.set("Name", name).set("Driver", volume.string_at("driver").empty() ? "local" : volume.string_at("driver"));
    if (const Node* options = volume.find("driver_opts"); options && options->is_object())
      body.put("DriverOpts", body.document().copy(*options));
    label_resource(project, volume, label::volume, body.object("Labels"));
    TRY_AS("volume " + name, client.call({.method = "POST", .path = "/volumes/create", .body = body.text()}));
    context.tell("Volume", quoted(name), "Created");
  }
  return {};
}

Result<void> remove_networks(Context& context, const Project& project) {
  Client& client = *TRY(context.client());
  Request request{.path = "/networks"};
  request.query.add("filters", label_filter({std::string(label::project) + "=" + project.name}));
  const json::Document list = TRY(client.call(std::move(request)));
  for (const Node& network : list.root()) {
    const std::string name(network.string_at("Name"));
    context.tell("Network", name, "Removing");
    if (context.dry_run) continue;
    auto removed = client.text({.method = "DELETE", .path = "/networks/" + segment(network.string_at("Id"))});
    if (removed) context.tell("Network", name, "Removed");
    else if (removed.error().message.find("active endpoints") != std::string::npos)
      context.tell("Network", name, "Resource is still in use");
    else if (removed.error().code != Code::not_found) return std::unexpected(std::move(removed.error()));
  }
  return {};
}

Result<void> remove_volumes(Context& context, const Project& project) {
  Client& client = *TRY(context.client());
  Request request{.path = "/volumes"};
  request.query.add("filters", label_filter({std::string(label::project) + "=" + project.name}));
  const json::Document list = TRY(client.call(std::move(request)));
  const Node* volumes = list.root().find("Volumes");
  if (!volumes) return {};
  for (const Node& volume : *volumes) {
    const std::string name(volume.string_at("Name"));
    context.tell("Volume", name, "Removing");
    if (context.dry_run) continue;
    auto removed = client.text({.method = "DELETE", .path = "/volumes/" + segment(name)});
    if (removed) context.tell("Volume", name, "Removed");
    else if (removed.error().code == Code::conflict) context.tell("Volume", name, "Resource is still in use");
    else if (removed.error().code != Code::not_found) return std::unexpected(std::move(removed.error()));
  }
  return {};
}

}  // namespace estiba::cli::compose
