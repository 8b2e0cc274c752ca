#include "cli/kube_client.h"

#include "base/strings.h"
#include "client/http_client.h"
#include "model/json.h"
#include "model/yaml.h"
#include "os/file.h"

namespace estiba::cli {

namespace {

// The item of the first entry of a list of named things.
const json::Node* first(const json::Document& doc, std::string_view list, std::string_view key) {
  const json::Node* entries = doc.root().find(list);
  return entries && entries->is_array() && !entries->empty() ? (*entries)[0].find(key) : nullptr;
}

}  // namespace

Result<KubeAccess> open_kubeconfig(const std::string& path, const std::string& server) {
  auto text = os::read_file(path);
  if (!text)
    return std::unexpected(
        std::move(text.error()).context("has 'estiba server' been started on this machine? --kubeconfig names another file"));
  const json::Document doc = TRY_AS(path, model::parse_yaml(*text));
  const json::Node *cluster = first(doc, "clusters", "cluster"), *user = first(doc, "users", "user");
  if (!cluster || !user) return fail(Code::invalid, path + ": it names no cluster or no user");
  io::TlsClientOptions tls;
  tls.ca_pem = TRY_AS(path, base64_decode(cluster->string_at("certificate-authority-data")));
  tls.certificate_pem = TRY_AS(path, base64_decode(user->string_at("client-certificate-data")));
  tls.key_pem = TRY_AS(path, base64_decode(user->string_at("client-key-data")));
  KubeAccess out;
  out.ca_pem = tls.ca_pem;
  out.client = client::make_http_client({.server = server.empty() ? std::string(cluster->string_at("server")) : server,
                                         .tls = TRY_AS(path, io::make_tls_client(tls)),
                                         .bearer_token = std::string(user->string_at("token")),
                                         .user_agent = "estiba"});
  return out;
}

}  // namespace estiba::cli
