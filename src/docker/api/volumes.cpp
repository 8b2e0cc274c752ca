// /volumes: list, inspect, create, remove, prune.
#include "volume/volumes.h"

#include "base/strings.h"
#include "base/time.h"
#include "docker/api/routes.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/events.h"
#include "docker/filters.h"
#include "docker/json_writer.h"

namespace estiba::docker {

using volume::VolumeInfo;
using volume::VolumeSpec;

namespace {

void put_volume(JsonWriter& out, const VolumeInfo& volume) {
  out.object().put("CreatedAt", format_rfc3339(volume.created)).put("Driver", volume.driver);
  for (auto [key, map] : {std::pair("Labels", &volume.labels), {"Options", &volume.options}}) {
    if (map->empty()) out.put_null(key);
    else out.put_map(key, *map);
  }
  out.put("Mountpoint", volume.path).put("Name", volume.name).put("Scope", "local").end();
}

Result<std::map<std::string, std::string>> texts_of(const json::Node& object, std::string_view key) {
  std::map<std::string, std::string> texts;
  const json::Node* node = object.find(key);
  if (!node || node->is_null()) return texts;
  if (!node->is_object()) return fail(Code::invalid, std::string(key) + " must be an object of strings");
  for (const json::Node& item : *node) {
    if (!item.is_string()) return fail(Code::invalid, std::string(key) + "." + std::string(item.key()) + " must be a string");
    texts.emplace(item.key(), item.as_string());
  }
  return texts;
}

void tell(Daemon& daemon, const VolumeInfo& volume, const char* action) {
  daemon.events().publish("volume", action, volume.name, {{"driver", volume.driver}});
}

Task<Result<void>> list(Daemon& daemon, ApiRequest& request, io::Response& response) {
  Filters filters = CO_TRY(Filters::parse(request.query("filters"), {"dangling", "driver", "label", "label!", "name"}));
  bool by_use = filters.has("dangling");
  bool dangling = CO_TRY(filters.flag("dangling", true));
  JsonWriter out;
  out.object().array("Volumes");
  for (const VolumeInfo& volume : daemon.volumes().list()) {
    if (!filters.exact("driver", volume.driver) || !filters.contains("name", volume.name) || !filters.labels(volume.labels)) continue;
    if (by_use && dangling != volume.containers.empty()) continue;
    put_volume(out, volume);
  }
  send_json(response, 200, out.end().put_null("Warnings").end().take());
  co_return {};
}

Task<Result<void>> inspect(Daemon& daemon, ApiRequest& request, io::Response& response) {
  JsonWriter out;
  put_volume(out, CO_TRY(daemon.volumes().find(request.param("name"))));
  send_json(response, 200, out.take());
  co_return {};
}

Task<Result<void>> create(Daemon& daemon, ApiRequest& request, io::Response& response) {
  json::Document body = CO_TRY(co_await request.json_body());
  const json::Node& root = body.root();
  if (const json::Node* cluster = root.find("ClusterVolumeSpec"); cluster && !cluster->is_null())
    co_return fail(Code::unavailable,
                   "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and "
                   "try again.");
  VolumeSpec spec{.name = std::string(root.string_at("Name"))};
  if (auto driver = root.string_at("Driver"); !driver.empty()) spec.driver = driver;
  spec.options = CO_TRY(texts_of(root, "DriverOpts"));
  spec.labels = CO_TRY(texts_of(root, "Labels"));
  auto created = CO_TRY(co_await daemon.volumes().create(std::move(spec)));
  if (created.made) tell(daemon, created.volume, "create");
  JsonWriter out;
  put_volume(out, created.volume);
  send_json(response, 201, out.take());
  co_return {};
}

Task<Result<void>> remove(Daemon& daemon, ApiRequest& request, io::Response& response) {
  const std::string& name = request.param("name");
  auto volume = daemon.volumes().find(name);
  CO_TRY(co_await daemon.volumes().remove(name, request.flag("force")));
  if (volume) tell(daemon, *volume, "destroy");
  send_no_content(response);
  co_return {};
}

Task<Result<void>> prune(Daemon& daemon, ApiRequest& request, io::Response& response) {
  Filters filters = CO_TRY(Filters::parse(request.query("filters"), {"all", "label", "label!"}));
  // Before 1.42 named volumes went as well.
  bool all = CO_TRY(filters.flag("all", request.minor < 42));
  auto pruned = CO_TRY(co_await daemon.volumes().prune(
      [filters, all](const VolumeInfo& volume) { return (all || volume.anonymous()) && filters.labels(volume.labels); }));
  for (const std::string& name : pruned.names) daemon.events().publish("volume", "destroy", name, {{"driver", "local"}});
  daemon.events().publish("volume", "prune", "", {{"reclaimed", std::to_string(pruned.bytes)}});
  JsonWriter out;
  out.object();
  if (pruned.names.empty()) out.put_null("VolumesDeleted");
  else out.put_list("VolumesDeleted", pruned.names);
  send_json(response, 200, out.put("SpaceReclaimed", pruned.bytes).end().take());
  co_return {};
}

Task<Result<void>> update(Daemon& daemon, ApiRequest& request, io::Response&) {
  CO_TRY(daemon.volumes().find(request.param("name")));
  co_return fail(Code::unavailable, "This node is not part of a swarm");
}

}  // namespace

void add_volume_routes(Router& router) {
  router.get("/volumes", list);
  router.get("/volumes/{name}", inspect);
  router.post("/volumes/create", create);
  router.post("/volumes/prune", prune);
  router.put("/volumes/{name}", update);
  router.del("/volumes/{name}", remove);
}

}  // namespace estiba::docker
