// What needs a swarm, answered as by an engine that is in none; and plugins, of which there are none.
#include "docker/api/routes.h"
#include "docker/errors.h"

namespace estiba::docker {

namespace {

constexpr std::string_view no_swarm =
    "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";

Task<void> refuse(Daemon&, ApiRequest&, io::Response& response) {
  send_error(response, 503, no_swarm);
  co_return;
}

Task<void> not_in_swarm(Daemon&, ApiRequest&, io::Response& response) {
  send_error(response, 503, "This node is not part of a swarm");
  co_return;
}

Task<void> no_init(Daemon&, ApiRequest&, io::Response& response) {
  send_error(response, 501, "Swarm mode is not part of Estiba; `estiba server` and `estiba agent` run a Kubernetes cluster");
  co_return;
}

Task<void> no_plugins(Daemon&, ApiRequest&, io::Response& response) {
  send_json(response, 200, "[]");
  co_return;
}

Task<void> no_such_plugin(Daemon&, ApiRequest& request, io::Response& response) {
  send_error(response, 404, "plugin \"" + request.param("name") + "\" not found");
  co_return;
}

Task<void> no_plugin_support(Daemon&, ApiRequest&, io::Response& response) {
  send_error(response, 501, "Docker plugins are not supported; networks and volumes have the drivers that Estiba brings along");
  co_return;
}

}  // namespace

void add_swarm_routes(Router& router) {
  for (std::string_view kind : {"services", "nodes", "tasks", "secrets", "configs"}) {
    const std::string base = "/" + std::string(kind);
    router.get(base, refuse);
    router.get(base + "/{id}", refuse);
    router.post(base + "/create", refuse);
    router.post(base + "/{id}/update", refuse);
    router.del(base + "/{id}", refuse);
    router.get(base + "/{id}/logs", refuse);
  }
  router.put("/volumes/{name}", refuse);  // of cluster volumes
  router.get("/swarm", refuse);
  router.get("/swarm/unlockkey", refuse);
  router.post("/swarm/update", refuse);
  router.post("/swarm/unlock", refuse);
  router.post("/swarm/leave", not_in_swarm);
  router.post("/swarm/init", no_init);
  router.post("/swarm/join", no_init);
  router.get("/plugins", no_plugins);
  router.get("/plugins/privileges", no_plugin_support);
  router.post("/plugins/pull", no_plugin_support);
  router.post("/plugins/create", no_plugin_support);
  router.get("/plugins/{name...}/json", no_such_plugin);
  router.del("/plugins/{name...}", no_such_plugin);
  for (std::string_view action : {"enable", "disable", "upgrade", "push", "set"})
    router.post("/plugins/{name...}/" + std::string(action), no_such_plugin);
}

}  // namespace estiba::docker
