#include "apiserver/cluster_info.h"

#include "apiserver/bell.h"
#include "apiserver/bootstrap_tokens.h"
#include "apiserver/kept.h"
#include "apiserver/own_action.h"
#include "base/log.h"
#include "base/strings.h"
#include "io/hmac.h"

namespace estiba::apiserver {
namespace {

using Data = std::map<std::string, std::string>;

constexpr std::string_view signature_prefix = "jws-kubeconfig-";

const Resource& core(std::string_view plural) { return *model::schema::find_resource("", "v1", plural); }

std::string kubeconfig_of(const ClusterInfo& info) {
  return "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: " + base64_encode(info.ca_pem) +
         "\n    server: " + info.server +
         "\n  name: \"\"\ncontexts: null\ncurrent-context: \"\"\nkind: Config\npreferences: {}\nusers: null\n";
}

Data data_of(const model::ObjectRef& object) {
  Data out;
  auto doc = json::Document::parse(object.object->json());
  if (const json::Node* data = doc ? doc->root().find("data") : nullptr; data && data->is_object())
    for (const json::Node& entry : *data) out.emplace(entry.key(), entry.as_string());
  return out;
}

// Creates the object, or replaces the one that is there.
Task<Result<void>> put(Registry& registry, const Resource& resource, std::string ns, std::string name, bool there, std::string body) {
  Action action = own_action(there ? Verb::update : Verb::create, resource, std::move(ns), there ? std::move(name) : std::string());
  action.body = std::move(body);
  auto written = there ? co_await registry.update(std::move(action)) : co_await registry.create(std::move(action));
  if (!written) co_return std::unexpected(std::move(written.error()));
  co_return {};
}

// The ConfigMap with exactly this data; what is right already is not written.
Task<Result<void>> put_map(Registry& registry, std::string ns, std::string name, Data data) {
  auto there = registry.cluster().find("", "configmaps", ns, name);
  if (there && data_of(*there) == data) co_return {};
  json::Document doc;
  json::Node& map = doc.make_object();
  json::Node& metadata = doc.set(map, "metadata", doc.make_object());
  doc.set(metadata, "name", name);
  doc.set(metadata, "namespace", ns);
  json::Node& values = doc.set(map, "data", doc.make_object());
  for (const auto& [key, value] : data) doc.set(values, key, value);
  auto written = co_await put(registry, core("configmaps"), ns, name, there.has_value(), json::print(map));
  if (!written) co_return std::unexpected(std::move(written.error()).context("write configmap " + ns + "/" + name));
  co_return {};
}

// The token that the server was started with. Another one with its id gives way.
Task<Result<void>> put_token(Registry& registry, std::string secret) {
  const json::Document wanted = CO_TRY(json::Document::parse(secret));
  const std::string name(wanted.root().string_at("metadata", "name"));
  auto there = registry.cluster().find("", "secrets", "kube-system", name);
  if (there) {
    const Data now = data_of(*there);
    bool same = true;
    for (const json::Node& entry : *wanted.root().find("data")) {
      const auto found = now.find(std::string(entry.key()));
      same = same && found != now.end() && found->second == entry.as_string();
    }
    if (same) co_return {};
  }
  auto written = co_await put(registry, core("secrets"), "kube-system", name, there.has_value(), std::move(secret));
  if (!written) co_return std::unexpected(std::move(written.error()).context("write the secret of --token"));
  co_return {};
}

Task<Result<void>> put_all(Registry& registry, const ClusterInfo& info) {
  if (!info.token_secret.empty()) CO_TRY(co_await put_token(registry, info.token_secret));
  CO_TRY(co_await put_map(registry, "kube-system", "estiba-cluster", info.settings));
  Data data;
  // What others keep beside it stays.
  if (auto there = registry.cluster().find("", "configmaps", "kube-public", "cluster-info"))
    for (auto& [key, value] : data_of(*there))
      if (!key.starts_with(signature_prefix)) data.emplace(key, value);
  const std::string kubeconfig = kubeconfig_of(info);
  data["kubeconfig"] = kubeconfig;
  for (const auto& [id, secret] : signing_tokens(registry.cluster()))
    data[std::string(signature_prefix) + id] = io::detached_jws(secret, id, kubeconfig);
  co_return co_await put_map(registry, "kube-public", "cluster-info", std::move(data));
}

}  // namespace

Task<void> publish_cluster_info(Registry& registry, ClusterInfo info) {
  constexpr Duration settle_time = std::chrono::milliseconds(50), pause = std::chrono::seconds(5);
  store::Store& store = registry.cluster().store();
  Bell secrets(store, prefix_of(core("secrets"), "kube-system")), maps(store, prefix_of(core("configmaps"), "kube-public")),
      settings(store, prefix_of(core("configmaps"), "kube-system"));
  auto changed = std::make_shared<Event>();
  for (;;) {
    changed->reset();
    for (Bell* bell : {&secrets, &maps, &settings}) bell->listen(changed);
    if (auto put = co_await put_all(registry, info); put) {
      co_await changed->wait();
      co_await sleep_for(settle_time);
    } else {
      log::warn("cluster-info", "what nodes join by is not published; will try again", {{"error", put.error()}});
      co_await sleep_for(pause);
    }
  }
}

}  // namespace estiba::apiserver
