#include "server/agent_join.h"

#include "apiserver/cluster_info.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "client/json_writer.h"
#include "io/hmac.h"
#include "io/http_client.h"
#include "model/types/certificates_v1.h"
#include "model/types/core_v1.h"
#include "model/yaml.h"

namespace estiba::server {

using namespace std::chrono_literals;
using model::certificates_v1::CertificateSigningRequest;

namespace {

constexpr client::Resource certificate_requests{"certificates.k8s.io", "v1", "certificatesigningrequests"};
constexpr std::string_view another_token = "`estiba token create` on the server makes one that holds";

// clusters[0].cluster.certificate-authority-data of a kubeconfig.
Result<std::string> ca_in(std::string_view kubeconfig) {
  const json::Document doc = TRY(model::parse_yaml(kubeconfig));
  const json::Node* clusters = doc.root().find("clusters");
  const std::string_view data = clusters && clusters->is_array() && !clusters->empty()
                                    ? (*clusters)[0].string_at("cluster", "certificate-authority-data")
                                    : std::string_view{};
  if (data.empty()) return fail(Code::malformed, "it names no certificate authority");
  return base64_decode(data);
}

}  // namespace

Result<std::string> believed_ca(std::string_view config_map_json, const client::JoinToken& token, std::string_view server) {
  const json::Document doc = TRY(json::Document::parse(config_map_json));
  const std::string kubeconfig(doc.root().string_at("data", "kubeconfig"));
  const std::string where = "kube-public/cluster-info of " + std::string(server);
  const std::string ca = TRY_AS(where, ca_in(kubeconfig));
  if (!token.ca_hash.empty()) {
    const std::string hash = TRY_AS(where, io::public_key_hash(ca));
    if (hash == token.ca_hash) return ca;
    return fail(Code::forbidden, "the token is for a cluster with the CA " + token.ca_hash + ", but " + std::string(server) + " has " +
                                     hash + ": it is another cluster, or somebody stands between; " + std::string(another_token));
  }
  const std::string_view signature = doc.root().string_at("data", "jws-kubeconfig-" + token.id);
  if (signature.empty())
    return fail(Code::forbidden,
                "token " + token.id + " is not known to " + std::string(server) + ", or has expired; " + std::string(another_token));
  if (!io::equal_in_constant_time(signature, io::detached_jws(token.secret, token.id, kubeconfig)))
    return fail(Code::forbidden, std::string(server) + " does not know the secret of token " + token.id +
                                     ": the token is mistyped, or somebody stands between; " + std::string(another_token));
  return ca;
}

Task<Result<std::string>> discover_ca(std::string server, client::JoinToken token) {
  auto tls = CO_TRY(io::make_tls_client({.insecure = true}));
  io::HttpClient http({.tls = std::move(tls), .max_idle_connections = 0});
  constexpr std::string_view path = apiserver::cluster_info_path;
  // The server signs with a new token a moment after it is made.
  const Instant end = Executor::current()->now() + 3s;
  for (;;) {
    auto answer = co_await http.fetch({.method = "GET", .url = server + std::string(path), .timeout = 10s});
    if (!answer) co_return std::unexpected(explain(std::move(answer.error()), server));
    if (answer->status != 200)
      co_return fail(Code::unavailable, server + " answers " + std::to_string(answer->status) + " when asked for " + std::string(path));
    auto ca = believed_ca(answer->body, token, server);
    if (ca || ca.error().code != Code::forbidden || Executor::current()->now() > end) co_return ca;
    co_await sleep_for(200ms);
  }
}

CertificateAsk client_certificate(const std::string& node) {
  return {"kubernetes.io/kube-apiserver-client-kubelet",
          {"digital signature", "client auth"},
          {.common_name = "system:node:" + node, .organizations = {"system:nodes"}}};
}

CertificateAsk serving_certificate(const std::string& node, const std::string& address) {
  return {"kubernetes.io/kubelet-serving",
          {"digital signature", "server auth"},
          {.common_name = "system:node:" + node, .organizations = {"system:nodes"}, .dns_names = {node}, .ip_addresses = {address}}};
}

namespace {

Task<Result<std::string>> wait_for_certificate(client::Client& client, std::string name) {
  const Instant begin = Executor::current()->now();
  bool told = false;
  for (Duration pause = 20ms;; pause = std::min<Duration>(pause * 2, 1s)) {
    const model::ObjectRef object = CO_TRY(co_await client.get(certificate_requests, "", name));
    const auto& request = object.as<CertificateSigningRequest>();
    if (!request.status.certificate.empty()) co_return request.status.certificate;
    for (const auto& condition : request.status.conditions)
      if (condition.type == "Denied" || condition.type == "Failed")
        co_return fail(Code::forbidden, "certificate request " + name + " was " + to_lower(condition.type) + ": " + condition.message);
    if (!told && Executor::current()->now() - begin > 5s) {
      log::warn("agent", "waiting for a certificate; if nobody approves it: kubectl certificate approve " + name);
      told = true;
    }
    co_await sleep_for(pause);
  }
}

}  // namespace

Task<Result<io::KeyPair>> request_certificate(client::Client& client, CertificateAsk ask) {
  io::PendingCertificate pending = CO_TRY(io::make_csr(ask.request));
  client::JsonWriter json;
  json.object().field("apiVersion", "certificates.k8s.io/v1").field("kind", "CertificateSigningRequest");
  json.object("metadata").field("generateName", "csr-").end();
  json.object("spec").field("signerName", ask.signer).field("request", base64_encode(pending.csr_pem)).array("usages");
  for (const std::string& usage : ask.usages) json.value(usage);
  json.end().end().end();
  const model::ObjectRef made = CO_TRY_AS("ask for a certificate", co_await client.create(certificate_requests, "", json.take()));
  std::string certificate = CO_TRY(co_await wait_for_certificate(client, made.meta().name));
  co_return io::KeyPair{std::move(certificate), std::move(pending.key_pem)};
}

Task<Result<void>> check_name_free(client::Client& client, std::string node) {
  auto there = co_await client.get(client::nodes, "", node);
  if (!there) {
    if (there.error().code == Code::not_found) co_return {};
    co_return std::unexpected(std::move(there.error()));
  }
  for (const auto& condition : there->as<model::core_v1::Node>().status.conditions)
    if (condition.type == "Ready" && condition.status == "True")
      co_return fail(Code::already_exists, "a node named " + node +
                                               " is in the cluster and alive: give this machine another --node-name, or, if it is " +
                                               "this machine whose data directory was lost, `kubectl delete node " + node + "` first");
  co_return {};
}

Error explain(Error error, const std::string& server) {
  const std::string& text = error.message;
  if (error.code == Code::unauthorized) {
    error.message = server + " does not accept the token: it is mistyped or has expired; " + std::string(another_token);
  } else if (text.contains("not yet valid") || text.contains("has expired")) {
    error.message += ": is the clock right here (" + format_rfc3339(Executor::current()->wall_now()) + ") and on the server?";
  } else if (text.contains("mismatch")) {
    error.message += ": use an address in --server that the server's certificate has, or add this one there with --tls-san";
  } else if (text.contains("certificate is not accepted")) {
    error.message += ": the server has another CA than this node's cluster";
  } else if (error.code == Code::unavailable || error.code == Code::timeout) {
    error.message += ": is " + server + " right, does the server run, and is its port open to this machine?";
  }
  return error;
}

}  // namespace estiba::server
