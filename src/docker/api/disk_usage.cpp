// GET /system/df: what images, containers, volumes and the build cache take on disk.
#include <algorithm>

#include "base/time.h"
#include "build/solve/builder.h"
#include "docker/api/image_common.h"
#include "docker/api/routes.h"
#include "docker/containers.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/json_writer.h"
#include "docker/listing.h"
#include "image/store.h"
#include "image/usage.h"
#include "io/loop.h"
#include "io/pool.h"
#include "volume/volumes.h"

namespace estiba::docker {

namespace {

void put_volumes(JsonWriter& out, Daemon& daemon, const std::map<std::string, uint64_t>& sizes) {
  out.array("Volumes");
  for (const auto& volume : daemon.volumes().list()) {
    out.object().put("CreatedAt", format_rfc3339(volume.created)).put("Driver", volume.driver);
    for (auto [key, map] : {std::pair("Labels", &volume.labels), {"Options", &volume.options}}) {
      if (map->empty()) out.put_null(key);
      else out.put_map(key, *map);
    }
    out.put("Mountpoint", volume.path).put("Name", volume.name).put("Scope", "local");
    auto size = sizes.find(volume.name);
    out.object("UsageData")
        .put("RefCount", volume.containers.size())
        .put("Size", size == sizes.end() ? int64_t(-1) : int64_t(size->second))
        .end()
        .end();
  }
  out.end();
}

void put_build_cache(JsonWriter& out, Daemon& daemon, const std::map<std::string, uint64_t, std::less<>>& mounts) {
  out.array("BuildCache");
  for (const auto& [key, entry] : daemon.builder().cache()) {
    if (!entry.layer && !entry.mount) continue;
    auto mount = mounts.find(key);
    const uint64_t size = entry.layer ? entry.layer->size : mount != mounts.end() ? mount->second : 0;
    auto time = [](int64_t seconds) { return format_rfc3339(WallTime(std::chrono::seconds(seconds))); };
    out.object()
        .put("ID", key)
        .put("Type", entry.mount ? "exec.cachemount" : "regular")
        .put("Description", entry.mount ? entry.value : "layer " + entry.layer->diff_id)
        .put("InUse", entry.mount && daemon.builder().mount_in_use(key))
        .put("Shared", false);
    out.put("Size", size).put("CreatedAt", time(entry.created)).put("LastUsedAt", time(entry.used)).put("UsageCount", 1).end();
  }
  out.end();
}

Task<Result<void>> disk_usage(Daemon& daemon, ApiRequest& request, io::Response& response) {
  std::vector<std::string> types = request.http.query.all("type");
  for (const auto& type : types)
    if (type != "container" && type != "image" && type != "volume" && type != "build-cache")
      co_return fail(Code::invalid, "unknown object type: " + type);
  auto wanted = [&](std::string_view type) { return types.empty() || std::find(types.begin(), types.end(), type) != types.end(); };
  JsonWriter out;
  out.object();
  if (wanted("image")) {
    ImageListQuery query;
    query.shared_size = query.count_containers = true;
    query.minor = request.minor;
    query.now = daemon.loop().wall_now();
    query.holders = image_holders(daemon.containers());
    auto images = co_await daemon.pool().run(
        [store = daemon.images(), query] { return std::pair(list_images(*store, query), image::layers_size(*store).value_or(0)); });
    out.put("LayersSize", images.second).put_raw("Images", CO_TRY(std::move(images.first)));
  }
  if (wanted("container")) {
    ListRequest all;
    all.all = all.size = true;
    out.put_raw("Containers", *CO_TRY(co_await daemon.listing().make("", std::move(all))));
  }
  if (wanted("volume")) {
    auto sizes = co_await daemon.volumes().sizes();
    put_volumes(out, daemon, sizes);
  }
  if (wanted("build-cache")) {
    put_build_cache(out, daemon, CO_TRY(co_await daemon.builder().mount_bytes()));
    if (request.minor < 42) out.put("BuilderSize", 0);
  }
  send_json(response, 200, out.end().take());
  co_return {};
}

}  // namespace

void add_disk_usage_routes(Router& router) { router.get("/system/df", disk_usage); }

}  // namespace estiba::docker
