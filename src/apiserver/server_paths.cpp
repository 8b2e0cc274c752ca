// Api: paths that are no resources: discovery, health, version, metrics, OpenAPI.
#include "apiserver/api_errors.h"
#include "apiserver/respond.h"
#include "apiserver/server.h"
#include "apiserver/snapshot.h"
#include "base/strings.h"
#include "observe/metrics.h"

namespace estiba::apiserver {
namespace {

bool is_health(std::string_view path) {
  for (std::string_view root : {"/livez", "/readyz", "/healthz"}) {
    if (path == root || (path.starts_with(root) && path[root.size()] == '/')) return true;
  }
  return false;
}

void send_text(io::Response& response, int status, io::Body text, std::string type = "text/plain; charset=utf-8") {
  response.send(status, {{"Content-Type", std::move(type)}, {"Cache-Control", "no-cache, private"}, {"X-Content-Type-Options", "nosniff"}},
                std::move(text));
}

void send_json(io::Response& response, std::string text) { send_text(response, 200, std::move(text), "application/json"); }

std::string verb_of(const std::string& method) { return to_lower(method == "HEAD" ? "GET" : method); }

struct Check {
  std::string_view name;
  bool ok;
  std::string_view why = " failed: not finished\n";
};

}  // namespace

bool is_open_path(std::string_view path) { return is_health(path) || path == "/version"; }

Task<bool> Api::reaches_etcd() {
  auto done = co_await with_timeout(std::chrono::seconds(2), freshness_->refresh());
  co_return done && *done;
}

void Api::serve_health(const std::string& path, bool etcd, io::Request& request, io::Response& response) {
  std::string_view root = split(std::string_view(path).substr(1), '/')[0];
  const Check checks[] = {{"ping", true},
                          {"log", true},
                          {"store", cluster_->store().revision() >= 0},
                          {"poststarthook/bootstrap", root == "livez" || ready()},
                          {"etcd", etcd, " failed: etcd does not answer\n"}};
  std::string_view only = std::string_view(path).substr(1 + root.size());
  if (!only.empty()) only.remove_prefix(1);
  auto excluded = request.query.all("exclude");
  std::string report;
  bool ok = true, known = only.empty();
  for (const Check& check : checks) {
    if (!only.empty() && check.name != only) continue;
    known = true;
    bool skip = std::find(excluded.begin(), excluded.end(), check.name) != excluded.end();
    ok &= check.ok || skip;
    report.append(check.ok || skip ? "[+]" : "[-]").append(check.name).append(skip ? " excluded: ok\n" : check.ok ? " ok\n" : check.why);
  }
  if (!known) return send_text(response, 404, "404 page not found\n");
  report.append(root).append(ok ? " check passed\n" : " check failed\n");
  if (ok && !request.query.has("verbose")) report = "ok";
  send_text(response, ok ? 200 : 500, std::move(report));
}

Task<void> Api::serve_path(const User& user, const std::string& path, io::Request& request, io::Response& response) {
  Attributes asked{.verb = verb_of(request.method), .path = path};
  Seat seat;
  Fairness::Pass pass = fairness_.classify(user, asked, response);
  if (!Fairness::try_enter(pass, seat) && !co_await Fairness::enter(pass, pass.found->schema.flow_of(user, asked), &seat))
    co_return refuse_for_now(response);
  if (!is_open_path(path)) {
    if (!authorizer_.authorize(user, asked).allowed) {
      Error error{Code::forbidden, 0, "forbidden: " + denial(user, asked), nullptr};
      co_return send_text(response, 403, render_error({}, error).body, "application/json");
    }
  }
  constexpr std::string_view openapi_v3 = "/openapi/v3";
  if (path.starts_with(openapi_v3)) {
    if (RemotePtr remote = aggregator_.find(std::string_view(path).substr(openapi_v3.size())))
      co_return co_await aggregator_.serve(std::move(remote), user, request, response);
  }
  if (request.method != "GET" && request.method != "HEAD") {
    co_return send_text(response, 405, render_error({}, method_not_allowed().error()).body, "application/json");
  }
  if (is_health(path)) {
    // Starting anew does not help where etcd is away, so it is no matter of /livez.
    const bool etcd = !freshness_ || path.starts_with("/livez") || co_await reaches_etcd();
    co_return serve_health(path, etcd, request, response);
  }
  if (path == "/version") co_return send_json(response, version_json_);
  if (path.starts_with("/openapi/") && openapi_.serve(path, request, response)) co_return;
  if (path == snapshot_path) co_return co_await serve_snapshot(cluster_->store(), freshness_, response);
  if (path == "/metrics") co_return send_text(response, 200, observe::metrics().print(), "text/plain; version=0.0.4; charset=utf-8");
  if (path == "/openid/v1/jwks") co_return send_text(response, 200, authenticator_->jwks(), "application/jwk-set+json");
  if (path == "/.well-known/openid-configuration") {
    const std::string issuer = cluster_->options().issuer();
    co_return send_json(response,
                        "{\"issuer\":\"" + issuer + "\",\"jwks_uri\":\"" + issuer +
                            "/openid/v1/jwks\",\"response_types_supported\":[\"id_token\"],\"subject_types_supported\":[\"public\"],"
                            "\"id_token_signing_alg_values_supported\":[\"" +
                            std::string(authenticator_->algorithm()) + "\"]}");
  }
  if (path == "/") {
    co_return send_json(
        response,
        R"({"paths":["/.well-known/openid-configuration","/api","/api/v1","/apis","/healthz","/livez","/metrics","/openapi/v2","/openapi/v3","/openid/v1/jwks","/readyz","/version"]})");
  }
  if (auto document = discovery_.find(path, request.headers.get("Accept"))) {
    if (!document->etag.empty() && request.headers.get("If-None-Match") == document->etag) {
      co_return response.send(304, {{"ETag", document->etag}, {"Vary", "Accept"}});
    }
    io::Headers headers{{"Content-Type", std::string(document->content_type)}, {"Vary", "Accept"}, {"Cache-Control", "public"}};
    if (!document->etag.empty()) headers.add("ETag", document->etag);
    co_return response.send(200, std::move(headers), io::Chunk(document, document->json));
  }
  send_text(response, 404, "404 page not found\n");
}

}  // namespace estiba::apiserver
