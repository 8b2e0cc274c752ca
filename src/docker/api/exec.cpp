// /containers/{id}/exec and /exec/{id}/…
#include "docker/api/routes.h"
#include "docker/containers.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/execs.h"
#include "docker/json_writer.h"
#include "docker/streams/hijack.h"

namespace estiba::docker {

namespace {

Task<Result<void>> create(Daemon& daemon, ApiRequest& request, io::Response& response) {
  auto container = CO_TRY(daemon.containers().find(request.param("id")));
  json::Document body = CO_TRY(co_await request.json_body());
  ExecRef exec = CO_TRY(daemon.execs().create(std::move(container), CO_TRY(parse_exec_config(body.root()))));
  JsonWriter json;
  json.object().put("Id", exec->id).end();
  send_json(response, 201, json.take());
  co_return {};
}

Task<Result<void>> start(Daemon& daemon, ApiRequest& request, io::Response& response) {
  ExecRef exec = CO_TRY(daemon.execs().find(request.param("id")));
  json::Document body = CO_TRY(co_await request.json_body());
  const bool detach = body.root().find("Detach") && body.root().find("Detach")->as_bool();
  if (const json::Node* size = body.root().find("ConsoleSize"); size && size->is_array()) {
    const bool tty = body.root().find("Tty") && body.root().find("Tty")->as_bool();
    if (!tty || size->size() != 2) co_return fail(Code::invalid, "console size is only supported when TTY is enabled, as [height, width]");
    exec->config.rows = uint16_t((*size)[0].as_int().value_or(0));
    exec->config.columns = uint16_t((*size)[1].as_int().value_or(0));
  }
  CO_TRY(daemon.execs().check_start(*exec));
  if (detach) {
    CO_TRY(co_await daemon.execs().start(exec, nullptr));
    response.send(200, {{"Content-Type", "application/json"}});
    co_return {};
  }
  auto client = CO_TRY(co_await hijack(request.http, response, exec->config.tty, request.minor >= 42));
  auto started = co_await daemon.execs().start(exec, client);
  if (started) co_return {};
  // The answer has begun: Docker tells why in the stream, where the user reads it.
  (void)co_await client->write(Channel::out, started.error().message + "\r\n");
  co_await client->finish();
  co_return {};
}

Task<Result<void>> resize(Daemon& daemon, ApiRequest& request, io::Response& response) {
  ExecRef exec = CO_TRY(daemon.execs().find(request.param("id")));
  auto [columns, rows] = CO_TRY(terminal_size(request));
  CO_TRY(co_await daemon.execs().resize(exec, columns, rows));
  response.send(200);
  co_return {};
}

Task<Result<void>> inspect(Daemon& daemon, ApiRequest& request, io::Response& response) {
  ExecRef exec = CO_TRY(daemon.execs().find(request.param("id")));
  send_json(response, 200, print_exec(*exec));
  co_return {};
}

}  // namespace

Result<std::pair<uint16_t, uint16_t>> terminal_size(const ApiRequest& request) {
  auto one = [&](std::string_view name) -> Result<uint16_t> {
    const auto value = TRY(request.number(name));
    if (!value || *value < 0 || *value > UINT16_MAX)
      return fail(Code::invalid, "invalid resize " + std::string(name == "h" ? "height" : "width") + " '" +
                                     std::string(request.query(name)) + "': it must be a number from 0 to 65535");
    return uint16_t(*value);
  };
  const uint16_t rows = TRY(one("h"));
  return std::pair(TRY(one("w")), rows);
}

void add_exec_routes(Router& router) {
  router.post("/containers/{id}/exec", create);
  router.post("/exec/{id}/start", start);
  router.post("/exec/{id}/resize", resize);
  router.get("/exec/{id}/json", inspect);
}

}  // namespace estiba::docker
