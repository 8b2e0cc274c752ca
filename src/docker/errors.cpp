#include "docker/errors.h"

#include "docker/json_writer.h"

namespace estiba::docker {

int http_status(const Error& error) {
  switch (error.code) {
    case Code::invalid:
    case Code::malformed: return 400;
    case Code::unauthorized: return 401;
    case Code::forbidden: return 403;
    case Code::not_found: return 404;
    case Code::already_exists:
    case Code::conflict: return 409;
    case Code::gone: return 410;
    case Code::too_large: return 413;
    case Code::unsupported: return 501;
    case Code::unavailable: return 503;
    case Code::timeout:
    case Code::exhausted:
    case Code::cancelled:
    case Code::internal: return 500;
  }
  return 500;
}

void send_error(io::Response& response, int status, std::string_view message) {
  send_json(response, status, JsonWriter().object().put("message", message).end().take());
}

void send_error(io::Response& response, const Error& error) { send_error(response, http_status(error), error.message); }

void send_json(io::Response& response, int status, std::string json) {
  json += '\n';
  response.send(status, {{"Content-Type", "application/json"}}, std::move(json));
}

void send_no_content(io::Response& response) { response.send(204); }

std::unexpected<Error> no_such_container(std::string_view name) { return fail(Code::not_found, "No such container: " + std::string(name)); }
std::unexpected<Error> not_running(std::string_view id) { return fail(Code::conflict, "container " + std::string(id) + " is not running"); }

}  // namespace estiba::docker
