#include "image/registry_server/server.h"

#include "base/log.h"
#include "base/strings.h"
#include "image/registry_server/upload.h"
#include "model/json.h"
#include "os/file.h"

namespace estiba::image {

void send(io::Response& response, const Refusal& refusal) {
  std::string body = "{\"errors\":[{\"code\":";
  json::append_string(body, refusal.code);
  body += ",\"message\":";
  json::append_string(body, refusal.message);
  body += "}]}\n";
  response.send(refusal.status, {{"Content-Type", "application/json"}}, std::move(body));
}

RegistryServer::RegistryServer(std::unique_ptr<Store> store, Fd lock, RegistryServerOptions options, std::unique_ptr<Htpasswd> users)
    : store_(std::move(store)),
      lock_(std::move(lock)),
      options_(std::move(options)),
      users_(std::move(users)),
      repositories_(store_->data_dir()),
      images_(*store_, options_.names),
      entering_(*store_, repositories_, images_, pool_),
      uploads_dir_(store_->data_dir() + "/registry/uploads"),
      pool_(8) {}

RegistryServer::~RegistryServer() = default;

Result<std::unique_ptr<RegistryServer>> RegistryServer::open(std::string data_dir, RegistryServerOptions options,
                                                             std::unique_ptr<Htpasswd> users) {
  auto store = TRY(Store::open(data_dir));
  TRY(os::make_dirs(data_dir + "/registry/repositories", 0700));
  auto lock = os::lock_file(data_dir + "/registry/lock", false);
  if (!lock && lock.error().code == Code::conflict)
    return fail(Code::conflict, "another registry serves " + data_dir + "; stop it, or choose another --data-dir");
  std::unique_ptr<RegistryServer> server(new RegistryServer(std::move(store), TRY(std::move(lock)), std::move(options), std::move(users)));
  TRY_AS("uploads under way", server->load_uploads());
  if (server->options_.images) TRY_AS("pushed images under way", server->entering_.resume());
  return server;
}

Task<bool> RegistryServer::authorized(const io::Request& request) {
  if (!users_) co_return true;
  std::string authorization(request.headers.get("Authorization"));
  if (authorization.empty()) co_return false;
  co_return co_await pool_.run([this, authorization = std::move(authorization)] { return users_->allows(authorization); });
}

Task<void> RegistryServer::handle(io::Request& request, io::Response& response) {
  response.always("Docker-Distribution-API-Version", "registry/2.0");
  Call call{request, response, parse_route(request.path), images_.hosts(request.host)};
  if (!co_await authorized(request)) {
    response.always("WWW-Authenticate", "Basic realm=\"estiba registry\"");
    co_return send(response, {401, "UNAUTHORIZED", "authentication required; use 'docker login'"});
  }
  co_await dispatch(std::move(call));
}

Task<void> RegistryServer::dispatch(Call call) {
  using Kind = Route::Kind;
  const std::string method = call.request.method;
  const bool reads = method == "GET" || method == "HEAD";
  const Route& route = call.route;
  io::Response& response = call.response;
  if (route.kind == Kind::none)
    co_return send(response,
                   {404, "UNSUPPORTED", "there is nothing at " + quoted(call.request.path) + "; a registry's paths begin with /v2/"});
  if (route.kind == Kind::base && reads) co_return response.send(200, {{"Content-Type", "application/json"}}, "{}");
  if (route.kind == Kind::catalog && reads) co_return co_await catalog(std::move(call));
  if (route.kind != Kind::base && route.kind != Kind::catalog && !valid_repository(route.repository))
    co_return send(response, {400, "NAME_INVALID",
                              "invalid repository name " + quoted(route.repository) +
                                  ": lower-case letters, digits and single separators between them are allowed, 250 characters at most"});
  if ((route.kind == Kind::blob || route.kind == Kind::referrers) && !valid_digest(route.last))
    co_return send(response, {400, "DIGEST_INVALID",
                              "invalid digest " + quoted(route.last) + ": sha256: and 64 lower-case hexadecimal digits are expected"});
  if (route.kind == Kind::manifest && !valid_digest(route.last) && !valid_tag(route.last))
    co_return send(response, {route.last.find(':') != route.last.npos ? 400 : 404,
                              route.last.find(':') != route.last.npos ? "DIGEST_INVALID" : "MANIFEST_UNKNOWN",
                              "invalid tag or digest " + quoted(route.last)});
  if (route.kind == Kind::tags && reads) co_return co_await tags(std::move(call));
  if (route.kind == Kind::referrers && reads) co_return co_await referrers(std::move(call));
  if (route.kind == Kind::blob && reads) co_return co_await get_blob(std::move(call));
  if (route.kind == Kind::blob && method == "DELETE") co_return co_await delete_blob(std::move(call));
  if (route.kind == Kind::manifest && reads) co_return co_await get_manifest(std::move(call));
  if (route.kind == Kind::manifest && method == "PUT") co_return co_await put_manifest(std::move(call));
  if (route.kind == Kind::manifest && method == "DELETE") co_return co_await delete_manifest(std::move(call));
  if (route.kind == Kind::uploads && method == "POST") co_return co_await begin_upload(std::move(call));
  if (route.kind == Kind::upload && method == "PATCH") co_return co_await continue_upload(std::move(call));
  if (route.kind == Kind::upload && method == "PUT") co_return co_await finish_upload(std::move(call));
  if (route.kind == Kind::upload && reads) co_return upload_status(std::move(call));
  if (route.kind == Kind::upload && method == "DELETE") co_return co_await cancel_upload(std::move(call));
  send(response, {405, "UNSUPPORTED", "the registry has no " + method + " for " + quoted(call.request.path)});
}

/// What went wrong on our side, or in the client's body.
Task<void> RegistryServer::refuse(io::Response& response, Error error) {
  if (error.code == Code::malformed || error.code == Code::invalid) co_return send(response, {400, "BLOB_UPLOAD_INVALID", error.message});
  if (error.code == Code::too_large) co_return send(response, {413, "SIZE_INVALID", error.message});
  // A client that has gone reads no answer.
  if (error.code != Code::unavailable && error.code != Code::cancelled) log::error("registry", "request failed", {{"error", error}});
  const bool full = error.code == Code::exhausted;
  send(response, {full ? 507 : 500, full ? "DENIED" : "UNKNOWN", error.message});
}

Result<void> RegistryServer::tidy() {
  for (const auto& name : TRY(repositories_.names())) TRY(tidy(name));
  TRY(store_->collect());
  return {};
}

}  // namespace estiba::image
