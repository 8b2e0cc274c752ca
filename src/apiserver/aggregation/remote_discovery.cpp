#include "apiserver/aggregation/remote_discovery.h"

#include "apiserver/edit.h"
#include "base/strings.h"
#include "io/http_client.h"

namespace estiba::apiserver {
namespace {

using namespace std::chrono_literals;

constexpr size_t longest_document = 16 << 20;
constexpr std::string_view accept_aggregated =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

// As the aggregator itself, who may see everything.
Task<Result<io::FetchResult>> ask(RemotePtr remote, std::string address, std::string path, std::string accept) {
  if (!remote->tls) co_return fail(Code::invalid, remote->tls_error);
  io::HttpClient client({.tls = remote->tls, .max_idle_connections = 0, .connect_timeout = 5s});
  io::ClientRequest request{.url = "https://" + address + path};
  request.headers = identity_headers({"system:kube-aggregator", {}, {"system:masters"}, {}});
  request.headers.add("Accept", std::move(accept));
  request.timeout = 5s;
  auto answer = co_await with_timeout(6s, client.fetch(std::move(request), longest_document));
  if (!answer) co_return fail(Code::timeout, "timed out waiting for https://" + address + path);
  co_return std::move(*answer);
}

void copy_member(json::Document& doc, json::Node& to, std::string_view key, const json::Node& from, std::string_view source) {
  if (const json::Node* value = from.find(source); present(value) && (!value->is_array() || !value->empty()))
    doc.set(to, key, doc.copy(*value));
}

void response_kind(json::Document& doc, json::Node& to, const json::Node& resource) {
  json::Node& kind = doc.set(to, "responseKind", doc.make_object());
  for (std::string_view part : {"group", "version", "kind"}) doc.set(kind, part, resource.string_at(part));
}

// What of an OpenAPI v2 document is this group's and version's own: its paths, and all definitions.
std::string own_part_of_v2(std::string_view json, const std::string& path) {
  auto doc = json::Document::parse(json);
  if (!doc || !doc->root().is_object()) return {};
  json::Document out;
  out.set_root(out.make_object());
  json::Node& paths = out.set(out.root(), "paths", out.make_object());
  const json::Node* all = doc->root().find("paths");
  for (size_t i = 0; present(all) && i < all->size(); ++i) {
    const json::Node& one = (*all)[i];
    if (one.key() == path || one.key().starts_with(path + "/")) out.set(paths, one.key(), out.copy(one));
  }
  if (paths.empty()) return {};
  if (const json::Node* definitions = doc->root().find("definitions"); present(definitions))
    out.set(out.root(), "definitions", out.copy(*definitions));
  return json::print(out.root());
}

}  // namespace

Result<std::optional<std::string>> resources_of_aggregated(std::string_view text, std::string_view group, std::string_view version) {
  json::Document doc = TRY(json::Document::parse(text));
  const json::Node* items = doc.root().find("items");
  if (!present(items) || !items->is_array()) return fail(Code::malformed, "the aggregated discovery has no items");
  for (const json::Node& item : *items) {
    const json::Node* versions = item.find("versions");
    if (item.string_at("metadata", "name") != group || !present(versions)) continue;
    for (const json::Node& one : *versions) {
      if (one.string_at("version") != version) continue;
      const json::Node* resources = one.find("resources");
      return present(resources) && resources->is_array() ? json::print(*resources) : std::string("[]");
    }
  }
  return std::nullopt;
}

Result<std::string> resources_of_legacy(std::string_view text) {
  json::Document doc = TRY(json::Document::parse(text));
  const json::Node* list = doc.root().find("resources");
  if (doc.root().string_at("kind") != "APIResourceList") return fail(Code::malformed, "the discovery is no APIResourceList");
  json::Document out;
  out.set_root(out.make_object());
  json::Node& resources = out.set(out.root(), "resources", out.make_array());
  std::map<std::string, json::Node*, std::less<>> parents;
  for (bool sub : {false, true}) {
    for (size_t i = 0; present(list) && i < list->size(); ++i) {
      const json::Node& one = (*list)[i];
      auto [name, rest] = split_once(one.string_at("name"), '/');
      if (sub != rest.has_value()) continue;
      json::Node& made = out.make_object();
      if (!sub) {
        out.set(made, "resource", name);
        response_kind(out, made, one);
        const json::Node* namespaced = one.find("namespaced");
        out.set(made, "scope", present(namespaced) && namespaced->as_bool() ? "Namespaced" : "Cluster");
        out.set(made, "singularResource", one.string_at("singularName"));
        for (std::string_view key : {"verbs", "shortNames", "categories"}) copy_member(out, made, key, one, key);
        out.append(resources, made);
        parents[std::string(name)] = &(*out.root().find("resources"))[resources.size() - 1];
        continue;
      }
      auto parent = parents.find(name);
      if (parent == parents.end()) continue;
      out.set(made, "subresource", *rest);
      response_kind(out, made, one);
      copy_member(out, made, "verbs", one, "verbs");
      out.append(ensure_array(out, *parent->second, "subresources"), made);
    }
  }
  return json::print(resources);
}

Task<Result<RemoteVersion>> discover_remote(RemotePtr remote, std::string address) {
  RemoteVersion out;
  out.group = remote->group;
  out.version = remote->version;
  out.group_priority = remote->group_priority;
  out.version_priority = remote->version_priority;
  std::optional<std::string> resources;
  io::FetchResult all = CO_TRY(co_await ask(remote, address, "/apis", std::string(accept_aggregated)));
  if (all.status == 200 && all.headers.get("Content-Type").find("APIGroupDiscoveryList") != std::string_view::npos)
    resources = CO_TRY(resources_of_aggregated(all.body, remote->group, remote->version));
  if (!resources) {
    io::FetchResult legacy = CO_TRY(co_await ask(remote, address, remote->path(), "application/json"));
    if (legacy.status != 200)
      co_return fail(Code::unavailable, "discovery of " + remote->path() + ": status " + std::to_string(legacy.status));
    resources = CO_TRY(resources_of_legacy(legacy.body));
  }
  out.resources = std::move(*resources);
  out.current = true;
  // What of OpenAPI a server lacks is left out.
  if (auto v3 = co_await ask(remote, address, "/openapi/v3", "application/json"); v3 && v3->status == 200) {
    auto doc = json::Document::parse(v3->body);
    const json::Node* row = doc ? doc->root().at("paths", remote->path().substr(1)) : nullptr;
    if (present(row)) out.openapi_v3 = json::print(*row);
  }
  if (auto v2 = co_await ask(remote, address, "/openapi/v2", "application/json"); v2 && v2->status == 200)
    out.openapi_v2 = own_part_of_v2(v2->body, remote->path());
  co_return out;
}

Task<Result<void>> probe_remote(RemotePtr remote, std::string address) {
  const std::string url = "https://" + address + remote->path();
  auto answer = co_await ask(remote, address, remote->path(), "application/json");
  if (!answer) co_return fail(Code::unavailable, "failing or missing response from " + url + ": " + answer.error().message);
  if (answer->status / 100 != 2)
    co_return fail(Code::unavailable,
                   "failing or missing response from " + url + ": bad status from " + url + ": " + std::to_string(answer->status));
  co_return {};
}

}  // namespace estiba::apiserver
