// /auth: asks a registry whether a user name and password are right, for `docker login`.
#include "base/strings.h"
#include "docker/api/routes.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/json_writer.h"
#include "image/registry_client.h"
#include "io/http_client.h"

namespace estiba::docker {

namespace {

struct Login {
  std::string user, password, identity_token, server;
};

/// "https://index.docker.io/v1/", "registry.example:5000" to the base of its API.
std::string api_of(std::string server) {
  if (server.empty() || server.find("index.docker.io") != server.npos || server == "docker.io") return "https://registry-1.docker.io";
  for (std::string_view scheme : {"https://", "http://"})
    if (server.starts_with(scheme)) server.erase(0, scheme.size());
  server = server.substr(0, server.find('/'));
  const std::string host = server.substr(0, server.starts_with('[') ? server.find(']') + 1 : server.find(':'));
  // As for pulls: only what cannot be listened to goes without TLS.
  const bool loopback = host == "localhost" || host == "[::1]" || host.starts_with("127.");
  return (loopback ? "http://" : "https://") + server;
}

Result<void> refused(const std::string& server, int status) {
  if (status == 401 || status == 403)
    return fail(Code::unauthorized, "login attempt to " + server + "/v2/ failed with status: " + std::to_string(status) + " Unauthorized");
  return fail(Code::unavailable, "login attempt to " + server + "/v2/ failed with status: " + std::to_string(status));
}

Task<Result<void>> ask_token_service(io::HttpClient& http, std::map<std::string, std::string> challenge, Login login, std::string server) {
  const io::Url realm = CO_TRY_AS("the token service of " + server, io::Url::parse(challenge["realm"]));
  if (realm.scheme != "https" && server.starts_with("https"))
    co_return fail(Code::unsupported, "the token service " + challenge["realm"] + " of " + server + " is not reached by HTTPS");
  io::Query query;
  query.add("account", login.user);
  query.add("client_id", "docker");
  query.add("offline_token", "true");
  if (!challenge["service"].empty()) query.add("service", challenge["service"]);
  io::ClientRequest request;
  request.url = challenge["realm"] + (challenge["realm"].find('?') == std::string::npos ? "?" : "&") + query.encode();
  request.headers.add("Authorization", "Basic " + base64_encode(login.user + ":" + login.password));
  const io::FetchResult answer = CO_TRY(co_await http.fetch(std::move(request), 1 << 20));
  if (answer.status / 100 != 2) co_return refused(server, answer.status);
  co_return {};
}

Task<Result<void>> check(Login login) {
  const std::string server = api_of(login.server);
  io::HttpClient http({});
  io::ClientRequest request;
  request.url = server + "/v2/";
  request.headers.add("Authorization", "Basic " + base64_encode(login.user + ":" + login.password));
  const io::FetchResult answer = CO_TRY(co_await http.fetch(request, 1 << 20));
  if (answer.status / 100 == 2) co_return {};
  auto challenge = image::parse_challenge(answer.headers.get("WWW-Authenticate"));
  if (answer.status == 401 && challenge[""] == "bearer")
    co_return co_await ask_token_service(http, std::move(challenge), std::move(login), server);
  co_return refused(server, answer.status);
}

Task<Result<void>> auth(Daemon&, ApiRequest& request, io::Response& response) {
  const json::Document body = CO_TRY(co_await request.json_body());
  const json::Node& root = body.root();
  Login login{std::string(root.string_at("username")), std::string(root.string_at("password")),
              std::string(root.string_at("identitytoken")), std::string(root.string_at("serveraddress"))};
  if (login.user.empty() && login.identity_token.empty())
    co_return fail(Code::invalid, "username is empty: give the user name and password, or an identity token");
  CO_TRY(co_await check(std::move(login)));
  JsonWriter json;
  json.object().put("Status", "Login Succeeded").put("IdentityToken", "").end();
  send_json(response, 200, json.take());
  co_return {};
}

}  // namespace

void add_auth_routes(Router& router) { router.post("/auth", auth); }

}  // namespace estiba::docker
