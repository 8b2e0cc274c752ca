// How failures reach Docker's clients: a status by Code and {"message": "…"}; and the sentences that clients and scripts match on.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/http_server.h"

namespace estiba::docker {

/// 404 for not_found, 409 for conflict and already_exists, 400 for invalid, 304 never: an answer, no failure.
int http_status(const Error& error);
/// {"message":"…"} with the status of the error's code.
void send_error(io::Response& response, const Error& error);
void send_error(io::Response& response, int status, std::string_view message);
/// JSON with a newline at the end, as dockerd sends it.
void send_json(io::Response& response, int status, std::string json);
void send_no_content(io::Response& response);

/// "No such container: web" (not_found).
[[nodiscard]] std::unexpected<Error> no_such_container(std::string_view name);
/// "Container … is not running" (conflict), with the id in full.
[[nodiscard]] std::unexpected<Error> not_running(std::string_view id);

}  // namespace estiba::docker
