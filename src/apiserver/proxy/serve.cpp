// Api: the proxy subresource of pods, services and nodes (pkg/registry/core/{pod,service,node}/rest).
#include "apiserver/admission/admission.h"
#include "apiserver/api_errors.h"
#include "apiserver/proxy/location.h"
#include "apiserver/respond.h"
#include "apiserver/server.h"
#include "io/reverse_proxy.h"

namespace estiba::apiserver {
namespace {

// What names the caller stays here: backends are not to act in his name.
const std::vector<std::string>& private_fields() {
  static const std::vector<std::string> names = {"authorization", "impersonate-*", "x-remote-*"};
  return names;
}

// Pods' and services' certificates are of nobody's making that is known here: as in Kubernetes they are not verified.
Result<io::TlsContextRef> unverified_tls() {
  static const Result<io::TlsContextRef> tls = io::make_tls_client({.insecure = true});
  return tls;
}

// What webhooks and policies see of it: PodProxyOptions and its like.
json::Document proxy_options(const Action& action, const std::string& tail) {
  json::Document doc;
  json::Node& out = doc.make_object();
  doc.set_root(out);
  doc.set(out, "kind", std::string(action.resource->kind) + "ProxyOptions");
  doc.set(out, "apiVersion", "v1");
  if (!tail.empty()) doc.set(out, "path", tail);
  return doc;
}

}  // namespace

Task<Result<void>> Api::proxy(const Action& action, std::string tail, io::Request& request, io::Response& response) {
  if (admission::has_extensions(*cluster_)) {
    json::Document options = proxy_options(action, tail);
    std::vector<std::string> warnings;
    CO_TRY(co_await admission::admit_act(*cluster_, action, admission::Operation::connect, options, warnings));
    add_warnings(response, warnings);
  }
  ProxyLocation location = CO_TRY(proxy_location(*cluster_, action.resource->plural, action.ns, action.name));
  const bool reading = request.method == "GET" || request.method == "HEAD";
  const std::string query = request.raw_query.empty() ? std::string{} : "?" + request.raw_query;
  if (tail.empty() && reading && !request.wants_upgrade()) {
    response.send(301, {{"Location", request.raw_path + "/" + query}});
    co_return {};
  }
  io::HttpClientOptions options{.max_idle_connections = 0};
  options.user_agent.clear();
  if (location.node_api && !node_proxy_) co_return fail(Code::unavailable, "this server has no way to reach node " + action.name);
  options.tls = location.node_api ? node_proxy_->tls() : CO_TRY(unverified_tls());
  io::HttpClient client(std::move(options));
  io::ReverseProxyOptions how;
  how.url = location.scheme + "://" + location.authority + clean_proxy_path(tail) + query;
  how.prefix = request.raw_path.substr(0, request.raw_path.size() - tail.size());
  how.remove = private_fields();
  auto passed = co_await io::reverse_proxy(request, response, client, std::move(how));
  if (!passed && passed.error().code != Code::malformed)
    co_return fail(Code::unavailable, "error trying to reach service: " + passed.error().message);
  co_return passed;
}

}  // namespace estiba::apiserver
