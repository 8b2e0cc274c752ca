// /containers/{id}/attach, /attach/ws and /resize.
#include "docker/api/routes.h"
#include "docker/containers.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/lives.h"
#include "docker/logs.h"
#include "docker/streams/detach_keys.h"
#include "docker/streams/hijack.h"
#include "docker/streams/pump.h"
#include "engine/engine.h"

namespace estiba::docker {

namespace {

struct Wishes {
  bool logs = false, stream = false;
  PumpOptions pump;
};

Result<Wishes> wishes_of(const ApiRequest& request, const Container& container) {
  Wishes out;
  out.logs = request.flag("logs");
  out.stream = request.flag("stream");
  out.pump.in = request.flag("stdin") && container.facts.open_stdin;
  out.pump.out = request.flag("stdout");
  out.pump.err = request.flag("stderr");
  out.pump.tty = container.facts.tty;
  out.pump.detach_keys = TRY(parse_detach_keys(request.query("detachKeys")));
  if (container.status == Status::paused)
    return fail(Code::conflict, "container " + container.id + " is paused, unpause the container before attach");
  if (container.status == Status::restarting)
    return fail(Code::conflict, "container " + container.id + " is restarting, wait until the container is running before attach");
  return out;
}

// Ends the session of a client that attached before a start that then failed: it would wait for nothing.
Task<void> watch_start(ContainerRef container, Pump* pump) {
  for (;;) {
    if (container->running()) co_return;
    if (container->removed || (!container->lifecycle.locked() && !container->error.empty())) break;
    container->changed.reset();
    co_await container->changed.wait();
  }
  pump->stop();
}

Task<void> serve(Daemon* daemon, ContainerRef container, std::shared_ptr<Client> client, Wishes wishes,
                 std::unique_ptr<engine::Session> session) {
  if (wishes.logs) {
    LogRequest logs;
    logs.out = wishes.pump.out;
    logs.err = wishes.pump.err;
    if (!co_await send_logs(*daemon, container, logs, *client)) co_return client->close();
  }
  if (!session) co_return co_await client->finish();
  Pump pump(std::move(session), client, std::move(wishes.pump));
  Job watch;
  if (!container->running()) {
    container->error.clear();  // of an earlier start
    watch = Job(watch_start(container, &pump));
  }
  const PumpEnd how = co_await pump.run();
  if (how == PumpEnd::detached) daemon->lives().tell(*container, "detach");
}

Task<Result<std::unique_ptr<engine::Session>>> attach_session(Daemon& daemon, const Container& container, const Wishes& wishes) {
  std::unique_ptr<engine::Session> session;
  if (wishes.stream) session = CO_TRY(co_await daemon.engine().attach(container.id, wishes.pump.in));
  co_return session;
}

Task<Result<void>> attach(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto container = CO_TRY(daemon.containers().find(request.param("id")));
  Wishes wishes = CO_TRY(wishes_of(request, *container));
  (void)CO_TRY(co_await request.http.body());
  auto session = CO_TRY(co_await attach_session(daemon, *container, wishes));
  auto client = CO_TRY(co_await hijack(request.http, response, wishes.pump.tty, request.minor >= 42));
  daemon.lives().tell(*container, "attach");
  daemon.tasks().start(serve(&daemon, std::move(container), std::move(client), std::move(wishes), std::move(session)));
  co_return {};
}

Task<Result<void>> attach_websocket(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto container = CO_TRY(daemon.containers().find(request.param("id")));
  Wishes wishes = CO_TRY(wishes_of(request, *container));
  auto session = CO_TRY(co_await attach_session(daemon, *container, wishes));
  auto client = CO_TRY(co_await accept_websocket_client(request.http, response));
  daemon.lives().tell(*container, "attach");
  daemon.tasks().start(serve(&daemon, std::move(container), std::move(client), std::move(wishes), std::move(session)));
  co_return {};
}

Task<Result<void>> resize(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto container = CO_TRY(daemon.containers().find(request.param("id")));
  auto [columns, rows] = CO_TRY(terminal_size(request));
  if (!container->running()) co_return not_running(container->id);
  CO_TRY(co_await daemon.engine().resize(container->id, columns, rows));
  daemon.lives().tell(*container, "resize", {{"height", std::to_string(rows)}, {"width", std::to_string(columns)}});
  response.send(200);
  co_return {};
}

}  // namespace

void add_attach_routes(Router& router) {
  router.post("/containers/{id}/attach", attach);
  router.get("/containers/{id}/attach/ws", attach_websocket);
  router.post("/containers/{id}/resize", resize);
}

}  // namespace estiba::docker
