// /containers: what is done with them. Streams, files and processes are in files of their own.
#include "docker/containers.h"
#include "base/strings.h"
#include "docker/api/routes.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/filters.h"
#include "docker/json_writer.h"
#include "docker/listing.h"
#include "docker/lives.h"
#include "image/store.h"
#include "io/pool.h"

namespace estiba::docker {

namespace {

Task<Result<void>> list(Daemon& daemon, ApiRequest& request, io::Response& response) {
  Listing& listing = daemon.listing();
  auto answer = listing.known(request.http.raw_query);
  if (!answer) {
    ListRequest wish;
    wish.all = request.flag("all");
    wish.size = request.flag("size");
    wish.limit = CO_TRY(request.number("limit")).value_or(0);
    wish.filters =
        CO_TRY(Filters::parse(request.query("filters"), {"ancestor", "before", "expose", "exited", "health", "id", "isolation", "is-task",
                                                         "label", "label!", "name", "network", "publish", "since", "status", "volume"}));
    answer = CO_TRY(co_await listing.make(request.http.raw_query, std::move(wish)));
  }
  response.send(200, {{"Content-Type", "application/json"}}, io::Body(io::Chunk(std::move(answer))));
  co_return {};
}

Task<Result<void>> create(Daemon& daemon, ApiRequest& request, io::Response& response) {
  if (auto type = request.http.headers.get("Content-Type"); !type.empty() && !type.starts_with("application/json"))
    co_return fail(Code::invalid, "unsupported Content-Type header (" + std::string(type) + "): must be 'application/json'");
  CreateRequest wish;
  wish.name = request.query("name");
  wish.platform = request.query("platform");
  wish.body = CO_TRY(co_await request.json_body());
  Created created = CO_TRY(co_await daemon.lives().create(std::move(wish)));
  send_json(response, 201, JsonWriter().object().put("Id", created.id).put_list("Warnings", created.warnings).end().take());
  co_return {};
}

Task<Result<void>> inspect(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto c = CO_TRY(daemon.containers().find(request.param("id")));
  const bool size = request.flag("size");
  std::optional<DiskSize> bytes;
  if (size) bytes = co_await daemon.listing().size_of(c);
  auto layers = co_await daemon.pool().run([store = daemon.images(), image = c->image_id] {
    std::vector<std::string> out;
    if (auto config = store->config(image)) out = store->layer_paths(**config);
    return out;
  });
  Shown around = daemon.listing().shown(*c);
  around.layers = std::move(layers);
  around.size = bytes;
  send_json(response, 200, inspect_json(*c, around));
  co_return {};
}

Task<Result<void>> start(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto c = CO_TRY(daemon.containers().find(request.param("id")));
  const bool started = CO_TRY(co_await daemon.lives().start(std::move(c)));
  response.send(started ? 204 : 304);
  co_return {};
}

Task<Result<void>> stop(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto c = CO_TRY(daemon.containers().find(request.param("id")));
  const bool stopped =
      CO_TRY(co_await daemon.lives().stop(std::move(c), CO_TRY(request.number("t")), std::string(request.query("signal"))));
  response.send(stopped ? 204 : 304);
  co_return {};
}

Task<Result<void>> restart(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto c = CO_TRY(daemon.containers().find(request.param("id")));
  CO_TRY(co_await daemon.lives().restart(std::move(c), CO_TRY(request.number("t")), std::string(request.query("signal"))));
  send_no_content(response);
  co_return {};
}

Task<Result<void>> kill(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto c = CO_TRY(daemon.containers().find(request.param("id")));
  CO_TRY(co_await daemon.lives().kill(std::move(c), std::string(request.query("signal"))));
  send_no_content(response);
  co_return {};
}

Task<Result<void>> pause(Daemon& daemon, ApiRequest& request, io::Response& response) {
  CO_TRY(co_await daemon.lives().pause(CO_TRY(daemon.containers().find(request.param("id")))));
  send_no_content(response);
  co_return {};
}

Task<Result<void>> unpause(Daemon& daemon, ApiRequest& request, io::Response& response) {
  CO_TRY(co_await daemon.lives().unpause(CO_TRY(daemon.containers().find(request.param("id")))));
  send_no_content(response);
  co_return {};
}

Task<Result<void>> rename(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto c = CO_TRY(daemon.containers().find(request.param("id")));
  CO_TRY(co_await daemon.lives().rename(std::move(c), std::string(request.query("name"))));
  send_no_content(response);
  co_return {};
}

Task<Result<void>> update(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto c = CO_TRY(daemon.containers().find(request.param("id")));
  CO_TRY(co_await daemon.lives().update(std::move(c), CO_TRY(co_await request.json_body())));
  send_json(response, 200, "{\"Warnings\":null}");
  co_return {};
}

Task<Result<void>> remove(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto c = CO_TRY(daemon.containers().find(request.param("id")));
  if (request.flag("link")) co_return fail(Code::invalid, "links between containers are not kept apart from them: nothing to remove");
  CO_TRY(co_await daemon.lives().remove(std::move(c), request.flag("force"), request.flag("v")));
  send_no_content(response);
  co_return {};
}

Task<Result<void>> prune(Daemon& daemon, ApiRequest& request, io::Response& response) {
  Filters filters = CO_TRY(Filters::parse(request.query("filters"), {"label", "label!", "until"}));
  Pruned pruned = CO_TRY(co_await daemon.lives().prune(std::move(filters)));
  JsonWriter out;
  out.object();
  if (pruned.ids.empty()) out.put_null("ContainersDeleted");
  else out.put_list("ContainersDeleted", pruned.ids);
  send_json(response, 200, out.put("SpaceReclaimed", pruned.bytes).end().take());
  co_return {};
}

/// The head goes out at once: clients begin to wait before they start the container.
Task<Result<void>> wait(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto c = CO_TRY(daemon.containers().find(request.param("id")));
  const std::string condition(request.query("condition"));
  if (!condition.empty() && condition != "not-running" && condition != "next-exit" && condition != "removed")
    co_return fail(Code::invalid, "invalid condition: " + quoted(condition) + "; not-running, next-exit or removed is expected");
  const uint64_t exits = c->exits;
  CO_TRY(co_await response.start(200, {{"Content-Type", "application/json"}}));
  auto over = [&] {
    if (c->removed) return true;
    if (condition == "removed") return false;
    if (condition == "next-exit") return c->exits != exits;
    return !c->running() && c->status != Status::restarting;
  };
  while (!over()) {
    c->changed.reset();
    co_await c->changed.wait();
  }
  JsonWriter out;
  out.object();
  if (request.minor < 42) out.put_null("Error");
  out.put("StatusCode", c->exit_code).end();
  co_return co_await response.write(out.take() + "\n");
}

}  // namespace

void add_container_routes(Router& router) {
  router.get("/containers/json", list);
  router.post("/containers/create", create);
  router.post("/containers/prune", prune);
  router.get("/containers/{id}/json", inspect);
  router.post("/containers/{id}/start", start);
  router.post("/containers/{id}/stop", stop);
  router.post("/containers/{id}/restart", restart);
  router.post("/containers/{id}/kill", kill);
  router.post("/containers/{id}/pause", pause);
  router.post("/containers/{id}/unpause", unpause);
  router.post("/containers/{id}/rename", rename);
  router.post("/containers/{id}/update", update);
  router.post("/containers/{id}/wait", wait);
  router.del("/containers/{id}", remove);
}

}  // namespace estiba::docker
