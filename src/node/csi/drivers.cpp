#include "node/csi/drivers.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "client/json_writer.h"
#include "model/types/storage_v1.h"

namespace estiba::node {

using model::ObjectRef;
using model::storage_v1::CSINode;
using namespace std::chrono_literals;

namespace {

constexpr client::Resource csi_nodes{"storage.k8s.io", "v1", "csinodes"};
constexpr std::string_view node_id_annotation = "csi.volume.kubernetes.io/nodeid";  // {driver: the node's name}

// Drivers of 0.x are no longer supported, those of 2.x not yet (csi_plugin.go, validateVersions).
bool is_supported(std::string_view version) {
  if (version.starts_with('v')) version.remove_prefix(1);
  return version == "1" || version.starts_with("1.");
}

// The annotation with one driver's entry set, or taken out.
std::string with_node_id(const ObjectRef& node, const std::string& driver, const std::string& id) {
  std::map<std::string, std::string> ids;
  if (auto known = json::Document::parse(node.meta().annotation(node_id_annotation)))
    if (known->root().is_object())
      for (const json::Node& entry : known->root()) ids[std::string(entry.key())] = entry.as_string();
  if (id.empty()) ids.erase(driver);
  else ids[driver] = id;
  client::JsonWriter json;
  json.object();
  for (const auto& [name, value] : ids) json.field(name, value);
  return ids.empty() ? std::string() : json.end().take();
}

}  // namespace

PluginRegistry::Handler CsiDrivers::registry_handler() {
  return {.registered = [this](RegisteredPlugin plugin) { return take(this, std::move(plugin)); },
          .gone = [this](const RegisteredPlugin& plugin) { lose(plugin); }};
}

Result<CsiDriverRef> CsiDrivers::find(const std::string& name) const {
  if (const auto found = drivers_.find(name); found != drivers_.end()) return found->second.driver;
  if (context_.options.kubelet_dir.empty())
    return fail(Code::unsupported, "CSI driver " + name + ": this node serves no drivers: start it with --kubelet-dir");
  return fail(Code::unavailable,
              "driver name " + name +
                  " not found in the list of registered CSI drivers: its node plugin must run on this node and register in " +
                  context_.options.kubelet_dir + "/plugins_registry");
}

Task<Result<void>> CsiDrivers::take(CsiDrivers* self, RegisteredPlugin plugin) {
  if (!std::ranges::any_of(plugin.versions, is_supported))
    co_return fail(Code::invalid, "CSI driver " + quoted(plugin.name) + ": none of the versions specified (" + join(plugin.versions, ", ") +
                                      ") are supported: 1.x is");
  auto driver = std::make_shared<CsiDriver>(plugin.name, plugin.endpoint);
  const auto info = CO_TRY(co_await CsiDriver::call<csi_api::NodeGetInfoResponse>(driver, "NodeGetInfo", csi_api::Empty{}));
  if (info.node_id.empty()) co_return fail(Code::invalid, "NodeGetInfo of CSI driver " + plugin.name + ": the answer has no node_id");
  const auto turn = co_await self->telling_.take();
  CO_TRY(co_await self->tell_node(plugin.name, info));
  CO_TRY(co_await self->tell_csi_node(plugin.name, info));
  self->drivers_[plugin.name] = {plugin.socket, std::move(driver)};
  if (self->on_registered_) self->on_registered_(plugin.name);
  co_return {};
}

void CsiDrivers::lose(const RegisteredPlugin& plugin) {
  const auto found = drivers_.find(plugin.name);
  if (found == drivers_.end() || found->second.socket != plugin.socket) return;
  drivers_.erase(found);
  tasks_.start(withdraw(this, plugin.name));
}

// --- what the API is told --------------------------------------------------------------------------------------------

Task<Result<void>> CsiDrivers::tell_node(std::string name, csi_api::NodeGetInfoResponse info) {
  const std::string& node_name = context_.options.node_name;
  const ObjectRef node = CO_TRY(co_await context_.client.get(client::nodes, "", node_name));
  client::JsonWriter json;
  json.object().object("metadata").object("labels");
  for (const auto& [key, value] : info.accessible_topology.segments) {
    if (const std::string_view now = node.meta().label(key); !now.empty() && now != value)
      co_return fail(Code::conflict, "detected topology value collision: driver " + name + " reported " + quoted(key) + ":" +
                                         quoted(value) + " but existing label is " + quoted(key) + ":" + quoted(now));
    json.field(key, value);
  }
  json.end().object("annotations").field(node_id_annotation, with_node_id(node, name, info.node_id)).end().end().end();
  CO_TRY_AS("labels of node " + node_name,
            co_await context_.client.patch(client::nodes, "", node_name, client::PatchType::merge, json.take()));
  co_return {};
}

// Entries are put in and taken out by their names, so that drivers that come at once do not get in each other's way. What an entry says
// cannot be changed: one that says something else goes first.
Task<Result<void>> CsiDrivers::tell_csi_node(std::string name, csi_api::NodeGetInfoResponse info) {
  const std::string& node_name = context_.options.node_name;
  client::JsonWriter entry;
  entry.object().field("name", name).field("nodeID", info.node_id).array("topologyKeys");
  for (const auto& [key, value] : info.accessible_topology.segments) entry.value(key);
  entry.end();
  if (info.max_volumes_per_node > 0) entry.object("allocatable").field("count", info.max_volumes_per_node).end();
  const std::string driver = entry.end().take();

  auto there = co_await context_.client.get(csi_nodes, "", node_name);
  if (!there && there.error().code == Code::not_found) {
    const ObjectRef node = CO_TRY(co_await context_.client.get(client::nodes, "", node_name));
    client::JsonWriter made;
    made.object().object("metadata").field("name", node_name).array("ownerReferences").object();
    made.field("apiVersion", "v1").field("kind", "Node").field("name", node_name).field("uid", node.meta().uid).end().end().end();
    made.object("spec").array("drivers").end().end().end();
    there = co_await context_.client.create(csi_nodes, "", made.take());
    if (!there && there.error().code == Code::already_exists) there = co_await context_.client.get(csi_nodes, "", node_name);
  }
  if (!there) co_return std::unexpected(std::move(there.error()).context("CSINode " + node_name));
  const auto patch = [&](const std::string& what) {
    return context_.client.patch(csi_nodes, "", node_name, client::PatchType::strategic, R"({"spec":{"drivers":[)" + what + "]}}");
  };
  for (const auto& known : there->as<CSINode>().spec.drivers) {
    if (known.name != name) continue;
    const int64_t count = known.allocatable && known.allocatable->count ? *known.allocatable->count : 0;
    std::vector<std::string> keys;
    for (const auto& [key, value] : info.accessible_topology.segments) keys.push_back(key);
    if (known.nodeID == info.node_id && known.topologyKeys == keys && count == std::max<int64_t>(info.max_volumes_per_node, 0))
      co_return {};
    client::JsonWriter gone;
    gone.object().field("name", name).field("$patch", "delete").end();
    CO_TRY_AS("CSINode " + node_name, co_await patch(gone.take()));
  }
  CO_TRY_AS("CSINode " + node_name, co_await patch(driver));
  co_return {};
}

Task<void> CsiDrivers::withdraw(CsiDrivers* self, std::string name) {
  for (Duration wait = 1s;; wait = std::min<Duration>(wait * 2, 1min)) {
    auto done = co_await self->withdraw_once(name);
    if (done || done.error().code == Code::not_found) co_return;
    log::warn("node", "will try again to say that a CSI driver has gone", {{"driver", name}, {"error", done.error()}});
    co_await sleep_for(wait);
  }
}

// The labels stay, as with the kubelet: volumes may be bound by them.
Task<Result<void>> CsiDrivers::withdraw_once(std::string name) {
  const auto turn = co_await telling_.take();
  if (drivers_.contains(name)) co_return {};  // it has come back
  const std::string& node_name = context_.options.node_name;
  client::JsonWriter gone;
  gone.object().object("spec").array("drivers").object().field("name", name).field("$patch", "delete").end().end().end().end();
  CO_TRY(co_await context_.client.patch(csi_nodes, "", node_name, client::PatchType::strategic, gone.take()));
  const ObjectRef node = CO_TRY(co_await context_.client.get(client::nodes, "", node_name));
  const std::string ids = with_node_id(node, name, {});
  client::JsonWriter json;
  json.object().object("metadata").object("annotations");
  if (ids.empty()) json.null(node_id_annotation);
  else json.field(node_id_annotation, ids);
  CO_TRY(co_await context_.client.patch(client::nodes, "", node_name, client::PatchType::merge, json.end().end().end().take()));
  co_return {};
}

}  // namespace estiba::node
