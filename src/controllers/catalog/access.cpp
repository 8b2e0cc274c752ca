#include "controllers/catalog/access.h"

#include "base/strings.h"
#include "model/types/core_v1.h"

namespace estiba::controllers::catalog {

using model::ObjectRef;

constexpr std::string_view api_version = "2.17";

BrokerAccess::BrokerAccess(Context& context)
    : client_(context.client),
      brokers_(context.options.brokers),
      services_(context.informers.of(client::services)),
      namespaces_(context.informers.of(client::namespaces)) {}

// A key of a Secret's data, decoded.
static Result<std::string> secret_value(const json::Node& secret, std::string_view called, std::string_view key) {
  const json::Node* value = secret.at("data", key);
  if (!value) return fail(Code::invalid, "auth secret " + std::string(called) + " has no key " + quoted(key));
  return TRY_AS("auth secret " + std::string(called) + ", key " + std::string(key), base64_decode(value->as_string()));
}

Task<Result<std::string>> BrokerAccess::authorization(std::string ns, const Scope* scope, const json::Node* info) {
  const json::Node* basic = info ? info->at("basic", "secretRef") : nullptr;
  const json::Node* bearer = info ? info->at("bearer", "secretRef") : nullptr;
  const json::Node* reference = basic ? basic : bearer;
  if (!reference) co_return std::string();
  if (scope->cluster) ns = reference->string_at("namespace");
  const std::string name(reference->string_at("name")), called = ns + "/" + name;
  auto read = co_await read_secret(ns, name, reference == basic);
  if (read) {
    if (!scope->cluster) known_[called] = *read;
    co_return read;
  }
  const ObjectRef there = namespaces_.get(ns);
  const auto known = known_.find(called);
  if (read.error().code == Code::not_found && known != known_.end() && there && !there.meta().deletion_timestamp.empty())
    co_return known->second;
  co_return read;
}

Task<Result<std::string>> BrokerAccess::read_secret(std::string ns, std::string name, bool basic) {
  const std::string called = ns + "/" + name;
  auto secret = CO_TRY_AS("auth secret " + called, co_await client_.get(client::secrets, ns, name));
  const json::Document doc = CO_TRY(json::Document::parse(secret.object->json()));
  if (!basic) co_return "Bearer " + CO_TRY(secret_value(doc.root(), called, "token"));
  const std::string user = CO_TRY(secret_value(doc.root(), called, "username"));
  const std::string password = CO_TRY(secret_value(doc.root(), called, "password"));
  co_return "Basic " + base64_encode(user + ":" + password);
}

Task<Result<Access>> BrokerAccess::open(const Scope* scope, ObjectRef broker) {
  if (!brokers_) co_return fail(Code::unavailable, "this server asks no brokers");
  const json::Document doc = CO_TRY(json::Document::parse(broker.object->json()));
  const json::Node* spec = doc.root().find("spec");
  if (!spec) co_return fail(Code::invalid, "the broker has no spec");
  Access out;
  out.url = spec->string_at("url");
  while (out.url.ends_with('/')) out.url.pop_back();
  const json::Node* insecure = spec->find("insecureSkipTLSVerify");
  out.insecure = insecure && insecure->as_bool();
  out.ca_pem = CO_TRY_AS("spec.caBundle", base64_decode(spec->string_at("caBundle")));
  out.authorization = CO_TRY(co_await authorization(broker.meta().ns, scope, spec->find("authInfo")));
  lead_to_service(out);
  co_return out;
}

// "http://NAME.NAMESPACE.svc[.DOMAIN][:PORT]/…"
void BrokerAccess::lead_to_service(Access& access) const {
  const size_t begin = access.url.find("://");
  if (begin == std::string::npos) return;
  const size_t at = begin + 3, end = std::min(access.url.find('/', at), access.url.size());
  const std::string authority = access.url.substr(at, end - at);
  const std::string host = authority.substr(0, authority.find(':'));
  const std::vector<std::string_view> parts = split(host, '.');
  if (parts.size() < 3 || parts[2] != "svc") return;
  const ObjectRef service = services_.get(parts[1], parts[0]);
  if (!service) return;
  const std::string& ip = service.as<model::core_v1::Service>().spec.clusterIP;
  if (ip.empty() || ip == "None") return;
  access.host = authority;
  access.server_name = host;
  const std::string port = authority.substr(host.size());
  access.url.replace(at, authority.size(), (ip.contains(':') ? "[" + ip + "]" : ip) + port);
}

Task<Result<BrokerAnswer>> BrokerAccess::call(Access access, Call call) {
  BrokerRequest request{.method = call.method, .url = access.url + call.path, .body = std::move(call.body)};
  request.ca_pem = access.ca_pem;
  request.insecure = access.insecure;
  request.server_name = access.server_name;
  request.headers = {
      {"X-Broker-API-Version", std::string(api_version)}, {"X-Broker-API-Request-Identity", random_uuid()}, {"Accept", "application/json"}};
  if (!access.host.empty()) request.headers.emplace_back("Host", access.host);
  if (!access.authorization.empty()) request.headers.emplace_back("Authorization", access.authorization);
  if (!request.body.empty()) request.headers.emplace_back("Content-Type", "application/json");
  if (!call.identity.empty()) request.headers.emplace_back("X-Broker-API-Originating-Identity", std::move(call.identity));
  co_return co_await brokers_->send(std::move(request));
}

std::string BrokerAccess::identity(const json::Node* user_info) {
  if (!user_info || !user_info->is_object()) return {};
  return "kubernetes " + base64_encode(json::print(*user_info));
}

}  // namespace estiba::controllers::catalog
