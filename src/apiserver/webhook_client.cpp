#include "apiserver/webhook_client.h"

#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "base/strings.h"
#include "io/http_client.h"

namespace estiba::apiserver {
namespace {

struct Address {
  std::string url;
  std::string server_name;  // what the certificate must be for; empty: the URL's host
};

// The Service's cluster address. What has none cannot be called: there is no proxy that would choose an endpoint.
Result<Address> address_of(const Cluster& cluster, const WebhookTarget& target) {
  std::string path = target.path;
  if (!target.url.empty()) return Address{target.url, {}};
  if (path.empty() || path[0] != '/') path.insert(0, "/");
  const std::string name = target.service_namespace + "/" + target.service_name;
  auto service = cluster.find("", "services", target.service_namespace, target.service_name);
  if (!service)
    return fail(Code::unavailable, "service " + quoted(target.service_name) + " not found in namespace " + target.service_namespace);
  json::Document doc = TRY(json::Document::parse(service->object->json()));
  const json::Node& spec = *doc.root().find("spec");
  const std::string_view ip = spec.string_at("clusterIP");
  const std::string server_name = target.service_name + "." + target.service_namespace + ".svc";
  if (spec.string_at("type") == "ExternalName")
    return Address{"https://" + std::string(spec.string_at("externalName")) + ":" + std::to_string(target.port) + path, server_name};
  if (ip.empty() || ip == "None") return fail(Code::unavailable, "service " + name + " has no cluster IP");
  const json::Node* ports = spec.find("ports");
  const bool offered = ports && std::any_of(ports->begin(), ports->end(), [&](const json::Node& port) {
                         const json::Node* number = port.find("port");
                         return number && number->as_int() == int64_t(target.port);
                       });
  if (!offered) return fail(Code::unavailable, "service " + name + " has no port " + std::to_string(target.port));
  return Address{"https://" + std::string(ip) + ":" + std::to_string(target.port) + path, server_name};
}

Task<Result<std::string>> post(std::string url, io::TlsContextRef tls, std::string body, WebhookLimits limits) {
  io::HttpClient client({.tls = std::move(tls), .max_idle_connections = 0});
  io::ClientRequest request{.method = "POST", .url = std::move(url)};
  request.headers.add("Content-Type", "application/json");
  request.headers.add("Accept", "application/json");
  request.body = std::move(body);
  request.timeout = limits.timeout;
  io::FetchResult answer = CO_TRY(co_await client.fetch(std::move(request), limits.answer_bytes));
  if (answer.status != 200) {
    constexpr size_t shown = 256;
    co_return fail(Code::unavailable,
                   "the webhook answered with status " + std::to_string(answer.status) + ": " + answer.body.substr(0, shown));
  }
  co_return std::move(answer.body);
}

}  // namespace

Result<WebhookTarget> WebhookTarget::parse(const json::Node& config) {
  WebhookTarget out;
  out.url = config.string_at("url");
  out.service_namespace = config.string_at("service", "namespace");
  out.service_name = config.string_at("service", "name");
  out.path = config.string_at("service", "path");
  if (const json::Node* port = config.at("service", "port"); present(port)) out.port = static_cast<uint16_t>(port->as_int().value_or(443));
  out.ca_pem = TRY_AS("caBundle", base64_decode(config.string_at("caBundle")));
  if (trim(out.ca_pem).empty()) out.ca_pem.clear();
  return out;
}

Task<Result<std::string>> call_webhook(Cluster& cluster, WebhookTarget target, std::string body, WebhookLimits limits) {
  Address address = CO_TRY(address_of(cluster, target));
  auto tls = CO_TRY_AS("caBundle", io::make_tls_client({.ca_pem = target.ca_pem, .server_name = address.server_name}));
  auto answer = co_await with_timeout(limits.timeout, post(address.url, std::move(tls), std::move(body), limits));
  if (!answer)
    co_return fail(Code::timeout, "Post " + quoted(address.url) + ": no answer within " +
                                      std::to_string(std::chrono::duration_cast<std::chrono::seconds>(limits.timeout).count()) + " s");
  if (!*answer) co_return std::unexpected(std::move(answer->error()).context("Post " + quoted(address.url)));
  co_return std::move(**answer);
}

}  // namespace estiba::apiserver
