// metrics.k8s.io: what nodes and pods use now. Nothing stores it: each answer asks the nodes' own APIs (GET /stats/summary).
#include <map>

#include "apiserver/api_errors.h"
#include "apiserver/own_action.h"
#include "apiserver/proxy/location.h"
#include "apiserver/server.h"
#include "apiserver/special/special.h"
#include "base/log.h"
#include "base/time.h"
#include "io/http_client.h"
#include "model/types/core_v1.h"

namespace estiba::apiserver {
namespace {

using json::Node;

constexpr Duration patience = std::chrono::seconds(5);
constexpr size_t longest_summary = 64 << 20;

/// A node's answer, or nothing when it cannot be reached.
Task<void> ask(Api* api, std::string node, std::optional<json::Document>* out) {
  const auto fetch = [](Api* server, std::string name) -> Task<Result<json::Document>> {
    if (!server->node_proxy()) co_return fail(Code::unavailable, "this server has no way to reach nodes");
    const ProxyLocation location = CO_TRY(proxy_location(server->cluster(), "nodes", {}, name));
    io::HttpClient client({.tls = server->node_proxy()->tls(), .max_idle_connections = 0, .connect_timeout = patience});
    io::ClientRequest request{.url = "https://" + location.authority + "/stats/summary", .timeout = patience};
    auto answer = CO_TRY(co_await client.send(std::move(request)));
    const std::string text = CO_TRY(co_await answer->text(longest_summary));
    if (answer->status != 200) co_return fail(Code::unavailable, "it answers " + std::to_string(answer->status));
    co_return json::Document::parse(text);
  };
  auto document = co_await fetch(api, node);
  if (document) *out = std::move(*document);
  else log::debug("metrics", "a node cannot be asked", {{"node", node}, {"error", document.error()}});
}

using Summaries = std::map<std::string, std::optional<json::Document>>;

Task<Summaries> ask_all(Api* api, std::vector<std::string> nodes) {
  Summaries out;
  TaskGroup group;
  for (const std::string& node : nodes)
    if (auto [at, fresh] = out.try_emplace(node); fresh) group.start(ask(api, node, &at->second));
  co_await group.join();
  co_return out;
}

int64_t int_of(const Node* node) { return node ? node->as_int().value_or(0) : 0; }

void put_usage(json::Document& doc, Node& item, const Node& from) {
  Node& usage = doc.set(item, "usage", doc.make_object());
  doc.set(usage, "cpu", std::to_string(int_of(from.at("cpu", "usageNanoCores"))) + "n");
  doc.set(usage, "memory", std::to_string(int_of(from.at("memory", "workingSetBytes")) / 1024) + "Ki");
}

Node& put_head(json::Document& doc, std::string_view kind, const model::Meta& meta, const Node& from, WallTime now) {
  Node& item = doc.make_object();
  doc.set(item, "kind", kind);
  doc.set(item, "apiVersion", "metrics.k8s.io/v1beta1");
  Node& metadata = doc.set(item, "metadata", doc.make_object());
  doc.set(metadata, "name", meta.name);
  if (!meta.ns.empty()) doc.set(metadata, "namespace", meta.ns);
  doc.set(metadata, "creationTimestamp", format_rfc3339(now));
  if (!meta.labels.empty()) {
    Node& labels = doc.set(metadata, "labels", doc.make_object());
    for (const auto& [key, value] : meta.labels) doc.set(labels, key, value);
  }
  const std::string_view at = from.string_at("cpu", "time");
  doc.set(item, "timestamp", at.empty() ? format_rfc3339(now) : std::string(at));
  doc.set(item, "window", "10s");
  return item;
}

/// The objects that the action asks for: their names, labels and places.
Result<std::vector<model::ObjectRef>> asked_for(Api& api, const Action& action, std::string_view resource) {
  Action read = own_action(Verb::list, *model::schema::find_resource("", "v1", resource), action.ns, {});
  read.list.label_selector = action.list.label_selector;
  read.list.field_selector = action.verb == Verb::get ? "metadata.name=" + action.name : action.list.field_selector;
  return TRY(api.registry().list(read)).items;
}

Result<Outcome> answer(const Action& action, json::Document& doc, std::vector<Node*> items) {
  if (action.verb == Verb::get) {
    if (items.empty()) return not_found(*action.resource, action.name);
    return Outcome{200, {}, json::print(*items[0]), {}};
  }
  Node& list = doc.make_object();
  doc.set(list, "kind", std::string(action.resource->kind) + "List");
  doc.set(list, "apiVersion", "metrics.k8s.io/v1beta1");
  doc.set(list, "metadata", doc.make_object());
  Node& array = doc.set(list, "items", doc.make_array());
  for (Node* item : items) doc.append(array, *item);
  return Outcome{200, {}, json::print(list), {}};
}

Task<Result<Outcome>> node_metrics(Api& api, Action action) {
  const std::vector<model::ObjectRef> nodes = CO_TRY(asked_for(api, action, "nodes"));
  std::vector<std::string> names;
  for (const model::ObjectRef& node : nodes) names.push_back(node.meta().name);
  const Summaries summaries = co_await ask_all(&api, names);
  json::Document doc;
  std::vector<Node*> items;
  for (const model::ObjectRef& node : nodes) {
    const auto& summary = summaries.at(node.meta().name);
    const Node* from = summary ? summary->root().find("node") : nullptr;
    if (!from) continue;
    Node& item = put_head(doc, action.resource->kind, node.meta(), *from, api.cluster().now());
    put_usage(doc, item, *from);
    items.push_back(&item);
  }
  co_return answer(action, doc, std::move(items));
}

Task<Result<Outcome>> pod_metrics(Api& api, Action action) {
  const std::vector<model::ObjectRef> pods = CO_TRY(asked_for(api, action, "pods"));
  std::vector<std::string> names;
  for (const model::ObjectRef& pod : pods)
    if (const std::string& node = pod.as<model::core_v1::Pod>().spec.nodeName; !node.empty()) names.push_back(node);
  const Summaries summaries = co_await ask_all(&api, names);
  std::map<std::string_view, const Node*> by_uid;
  for (const auto& [name, summary] : summaries)
    if (const Node* list = summary ? summary->root().find("pods") : nullptr)
      for (const Node& pod : *list) by_uid[pod.string_at("podRef", "uid")] = &pod;
  json::Document doc;
  std::vector<Node*> items;
  for (const model::ObjectRef& pod : pods) {
    const auto from = by_uid.find(pod.meta().uid);
    if (from == by_uid.end()) continue;
    Node& item = put_head(doc, action.resource->kind, pod.meta(), *from->second, api.cluster().now());
    Node& containers = doc.set(item, "containers", doc.make_array());
    if (const Node* list = from->second->find("containers"))
      for (const Node& container : *list) {
        Node& row = doc.append(containers, doc.make_object());
        doc.set(row, "name", container.string_at("name"));
        put_usage(doc, row, container);
      }
    items.push_back(&item);
  }
  co_return answer(action, doc, std::move(items));
}

constexpr Special rows[] = {
    {"metrics.k8s.io", "nodes", "", node_metrics},
    {"metrics.k8s.io", "pods", "", pod_metrics},
};

}  // namespace

std::span<const Special> metrics_actions() { return rows; }

}  // namespace estiba::apiserver
