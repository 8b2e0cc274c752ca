#include "apiserver/discovery.h"

#include "apiserver/aggregation/aggregator.h"
#include "apiserver/cluster.h"
#include "base/strings.h"
#include "model/json.h"
#include "model/schema.h"

namespace estiba::apiserver {
namespace {

namespace schema = model::schema;

void strings(std::string& out, std::string_view key, std::span<const std::string_view> values) {
  if (values.empty()) return;
  out.append(",\"").append(key).append("\":[");
  for (size_t i = 0; i < values.size(); i++) {
    if (i > 0) out += ',';
    json::append_string(out, values[i]);
  }
  out += ']';
}

void member(std::string& out, std::string_view key, std::string_view value, bool first = false) {
  if (!first) out += ',';
  out.append("\"").append(key).append("\":");
  json::append_string(out, value);
}

// Legacy: APIResourceList.
void append_legacy_subresource(std::string& out, const schema::Resource& resource, const schema::Subresource& sub,
                               const schema::Version& version) {
  out += ",{";
  member(out, "name", std::string(resource.plural) + "/" + std::string(sub.name), true);
  member(out, "singularName", "");
  out += resource.namespaced ? ",\"namespaced\":true" : ",\"namespaced\":false";
  bool elsewhere = sub.group != resource.group || (sub.version != version.name && !sub.version.empty());
  if (elsewhere) {
    member(out, "group", sub.group);
    member(out, "version", sub.version);
  }
  member(out, "kind", sub.kind);
  strings(out, "verbs", sub.verbs);
  out += '}';
}

std::string legacy_resources(const schema::Group& group, const schema::Version& version) {
  std::string out = R"({"kind":"APIResourceList","apiVersion":"v1")";
  member(out, "groupVersion", schema::join_api_version(group.name, version.name));
  out += ",\"resources\":[";
  bool first = true;
  for (const schema::Resource& resource : version.resources) {
    out += first ? "{" : ",{";
    first = false;
    member(out, "name", resource.plural, true);
    member(out, "singularName", resource.singular);
    out += resource.namespaced ? ",\"namespaced\":true" : ",\"namespaced\":false";
    member(out, "kind", resource.kind);
    strings(out, "verbs", resource.verbs);
    strings(out, "shortNames", resource.short_names);
    strings(out, "categories", resource.categories);
    out += '}';
    for (const schema::Subresource& sub : resource.subresources) append_legacy_subresource(out, resource, sub, version);
  }
  return out + "]}";
}

// A group with its versions, served here and elsewhere.
struct Listed {
  std::string_view name;
  const schema::Group* local = nullptr;
  std::vector<const RemoteVersion*> remote;
  int64_t priority = 0;

  // Whether an extension server answers a version that is in our tables, too.
  bool replaced(std::string_view version) const {
    return std::any_of(remote.begin(), remote.end(), [&](const RemoteVersion* one) { return one->version == version; });
  }
};

// Our own groups in their order, and those of extension servers where their priority puts them.
std::vector<Listed> listed_groups(const model::Catalog& catalog, const RemoteVersions& remote) {
  std::vector<Listed> out;
  for (const schema::Group& group : catalog.groups()) out.push_back({group.name, &group, {}, group_priority_of(group.name)});
  for (const RemoteVersion& one : remote) {
    auto found = std::find_if(out.begin(), out.end(), [&](const Listed& group) { return group.name == one.group; });
    if (found == out.end()) {
      found = std::find_if(out.begin(), out.end(), [&](const Listed& group) { return group.priority < one.group_priority; });
      found = out.insert(found, {one.group, nullptr, {}, one.group_priority});
    }
    found->remote.push_back(&one);
  }
  return out;
}

std::string legacy_group(const Listed& group, bool standalone) {
  std::string out = standalone ? R"({"kind":"APIGroup","apiVersion":"v1",)" : "{";
  member(out, "name", group.name, true);
  out += ",\"versions\":[";
  std::string first;
  auto add = [&](std::string_view version) {
    std::string item = "{";
    member(item, "groupVersion", schema::join_api_version(group.name, version), true);
    member(item, "version", version);
    item += '}';
    if (first.empty()) first = item;
    else out += ',';
    out += item;
  };
  if (group.local) {
    for (const schema::Version& version : group.local->versions)
      if (!group.replaced(version.name)) add(version.name);
  }
  for (const RemoteVersion* version : group.remote) add(version->version);
  return out + "],\"preferredVersion\":" + first + "}";
}

// Aggregated: APIGroupDiscoveryList.
void append_response_kind(std::string& out, std::string_view group, std::string_view version, std::string_view kind) {
  out += ",\"responseKind\":{";
  member(out, "group", group, true);
  member(out, "version", version);
  member(out, "kind", kind);
  out += '}';
}

void append_aggregated_resource(std::string& out, const schema::Resource& resource) {
  out += '{';
  member(out, "resource", resource.plural, true);
  append_response_kind(out, "", "", resource.kind);
  member(out, "scope", resource.namespaced ? "Namespaced" : "Cluster");
  member(out, "singularResource", resource.singular);
  strings(out, "verbs", resource.verbs);
  strings(out, "shortNames", resource.short_names);
  strings(out, "categories", resource.categories);
  if (!resource.subresources.empty()) {
    out += ",\"subresources\":[";
    for (size_t i = 0; i < resource.subresources.size(); i++) {
      const schema::Subresource& sub = resource.subresources[i];
      out += i == 0 ? "{" : ",{";
      member(out, "subresource", sub.name, true);
      bool same = sub.group == resource.group && (sub.version == resource.version || sub.version.empty());
      append_response_kind(out, same ? "" : sub.group, same ? "" : sub.version, sub.kind);
      strings(out, "verbs", sub.verbs);
      out += '}';
    }
    out += ']';
  }
  out += '}';
}

void append_aggregated_group(std::string& out, const Listed& group) {
  out += "{\"metadata\":{";
  if (!group.name.empty()) member(out, "name", group.name, true);
  out += out.back() == '{' ? "\"creationTimestamp\":null},\"versions\":[" : ",\"creationTimestamp\":null},\"versions\":[";
  auto begin = [&out](std::string_view version) {
    out += out.back() == '[' ? "{" : ",{";
    member(out, "version", version, true);
    out += ",\"resources\":";
  };
  for (size_t i = 0; group.local && i < group.local->versions.size(); i++) {
    const schema::Version& version = group.local->versions[i];
    if (group.replaced(version.name)) continue;
    begin(version.name);
    out += '[';
    for (size_t j = 0; j < version.resources.size(); j++) {
      if (j > 0) out += ',';
      append_aggregated_resource(out, version.resources[j]);
    }
    out += "],\"freshness\":\"Current\"}";
  }
  for (const RemoteVersion* version : group.remote) {
    begin(version->version);
    out += version->resources;
    out += version->current ? ",\"freshness\":\"Current\"}" : ",\"freshness\":\"Stale\"}";
  }
  out += "]}";
}

DiscoveryDocument aggregated(const std::vector<Listed>& groups, bool core, bool beta) {
  DiscoveryDocument out;
  out.json = R"({"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/)" + std::string(beta ? "v2beta1" : "v2") +
             R"(","metadata":{},"items":[)";
  bool first = true;
  for (const Listed& group : groups) {
    if (group.name.empty() != core) continue;
    if (!first) out.json += ',';
    first = false;
    append_aggregated_group(out.json, group);
  }
  out.json += "]}";
  char etag[20];
  snprintf(etag, sizeof etag, "\"%016lX\"", static_cast<unsigned long>(fnv1a64(out.json)));
  out.etag = etag;
  out.content_type = beta ? "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
                          : "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  return out;
}

}  // namespace

Discovery::Discovery(const model::Catalog& catalog, std::string_view server_address, const RemoteVersions& remote) {
  const std::vector<Listed> groups = listed_groups(catalog, remote);
  auto add = [this](std::string path, std::string text) { legacy_[std::move(path)] = {std::move(text), {}, "application/json"}; };
  std::string versions =
      R"({"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[{"clientCIDR":"0.0.0.0/0","serverAddress":)";
  json::append_string(versions, server_address);
  add("/api", versions + "}]}");
  std::string all = R"({"kind":"APIGroupList","apiVersion":"v1","groups":[)";
  for (const Listed& group : groups) {
    for (size_t i = 0; group.local && i < group.local->versions.size(); ++i) {
      const schema::Version& version = group.local->versions[i];
      std::string path = group.name.empty() ? "/api/" : "/apis/" + std::string(group.name) + "/";
      add(path + std::string(version.name), legacy_resources(*group.local, version));
    }
    if (group.name.empty()) continue;
    add("/apis/" + std::string(group.name), legacy_group(group, true));
    if (all.back() == '}') all += ',';
    all += legacy_group(group, false);
  }
  add("/apis", all + "]}");
  for (bool core : {true, false}) {
    v2_[core ? "/api" : "/apis"] = aggregated(groups, core, false);
    v2beta1_[core ? "/api" : "/apis"] = aggregated(groups, core, true);
  }
}

const DiscoveryDocument* Discovery::find(std::string_view path, std::string_view accept) const {
  // Clients list what they understand, the best first.
  for (std::string_view part : split(accept, ',')) {
    if (part.find("as=APIGroupDiscoveryList") == std::string_view::npos) continue;
    bool beta = part.find("v=v2beta1") != std::string_view::npos;
    bool current = !beta && part.find("v=v2") != std::string_view::npos;
    if (!beta && !current) continue;
    const auto& documents = beta ? v2beta1_ : v2_;
    auto found = documents.find(path);
    if (found != documents.end()) return &found->second;
  }
  auto found = legacy_.find(path);
  return found == legacy_.end() ? nullptr : &found->second;
}

std::shared_ptr<const DiscoveryDocument> LiveDiscovery::find(std::string_view path, std::string_view accept) {
  model::CatalogPtr catalog = cluster_.catalog();
  std::shared_ptr<const RemoteVersions> remote = aggregator_.versions();
  std::shared_ptr<const Made> made;
  {
    std::lock_guard lock(mutex_);
    // Made under the lock: everybody who asks after a change wants the same.
    if (!made_ || made_->catalog != catalog || made_->remote != remote)
      made_ = std::make_shared<const Made>(catalog, remote, Discovery(*catalog, server_address_, *remote));
    made = made_;
  }
  const DiscoveryDocument* document = made->discovery.find(path, accept);
  return document ? std::shared_ptr<const DiscoveryDocument>(made, document) : nullptr;
}

}  // namespace estiba::apiserver
