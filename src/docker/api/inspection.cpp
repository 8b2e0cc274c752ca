// /containers/{id}/logs, /stats and /top.
#include "base/time.h"
#include "docker/api/routes.h"
#include "docker/containers.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/json_writer.h"
#include "docker/lives.h"
#include "docker/logs.h"
#include "docker/processes.h"
#include "docker/stats.h"
#include "docker/streams/hijack.h"
#include "engine/engine.h"
#include "io/loop.h"
#include "io/pool.h"

namespace estiba::docker {

using namespace std::chrono_literals;

namespace {

Task<Result<void>> logs(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto container = CO_TRY(daemon.containers().find(request.param("id")));
  LogRequest wanted = CO_TRY(parse_log_request(request, *container, daemon.loop().wall_now()));
  if (container->facts.log_type == "none") {
    send_error(response, 501, "configured logging driver does not support reading");
    co_return {};
  }
  const bool framed = !container->facts.tty;
  const std::string_view type = framed && request.minor >= 42 ? multiplexed_stream_type : raw_stream_type;
  CO_TRY(co_await response.start(200, {{"Content-Type", std::string(type)}}));
  auto client = answer_client(response, framed);
  co_return co_await send_logs(daemon, container, std::move(wanted), *client);
}

Task<std::optional<Sample>> take_sample(Daemon& daemon, const Container& container) {
  if (!container.running()) co_return std::nullopt;
  const int pid = container.pid;
  const bool own_network = container.facts.network_mode != "host" && container.facts.network_mode != "none";
  auto stats = co_await daemon.engine().stats(container.id, false);
  auto host = host_usage();
  if (!stats || !host) co_return std::nullopt;  // it has ended meanwhile
  Sample sample;
  sample.at = daemon.loop().wall_now();
  sample.container = std::move(*stats);
  sample.host = *host;
  if (own_network) sample.networks = network_counters(pid);
  co_return sample;
}

Task<Result<void>> stats(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto container = CO_TRY(daemon.containers().find(request.param("id")));
  const bool stream = request.flag("stream", true), one_shot = request.flag("one-shot");
  if (stream && one_shot) co_return fail(Code::invalid, "cannot have stream=true and one-shot=true");
  const io::Headers headers{{"Content-Type", "application/json"}};
  std::optional<Sample> before, now = co_await take_sample(daemon, *container);
  if (!stream) {
    // Two samples make a rate; half a second is enough for the kernel's ticks of 10 ms.
    if (now && !one_shot) {
      co_await sleep_for(500ms);
      before = std::move(now);
      now = co_await take_sample(daemon, *container);
    }
    send_json(response, 200, print_stats(container->id, container->name, now, before));
    co_return {};
  }
  CO_TRY(co_await response.start(200, headers));
  for (;;) {
    CO_TRY(co_await response.write(print_stats(container->id, container->name, now, before) + "\n"));
    co_await sleep_for(1s);
    if (container->removed) co_return {};
    before = std::move(now);
    now = co_await take_sample(daemon, *container);
  }
}

Task<Result<void>> top(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto container = CO_TRY(daemon.containers().find(request.param("id")));
  if (!container->running()) co_return not_running(container->id);
  std::vector<int> pids = CO_TRY(co_await daemon.engine().top(container->id));
  std::string arguments(request.query("ps_args"));
  const WallTime now = daemon.loop().wall_now();
  auto table = CO_TRY(co_await daemon.pool().run(
      [pids = std::move(pids), arguments = std::move(arguments), now] { return list_processes(pids, arguments, now); }));
  JsonWriter json;
  json.object().array("Processes");
  for (const auto& row : table.rows) {
    json.array();
    for (const std::string& field : row) json.add(field);
    json.end();
  }
  json.end().put_list("Titles", table.titles).end();
  daemon.lives().tell(*container, "top");
  send_json(response, 200, json.take());
  co_return {};
}

}  // namespace

void add_inspection_routes(Router& router) {
  router.get("/containers/{id}/logs", logs);
  router.get("/containers/{id}/stats", stats);
  router.get("/containers/{id}/top", top);
}

}  // namespace estiba::docker
