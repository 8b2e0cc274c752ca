// The APIServices of what is served here, and what extension servers are told about authentication.
#include "apiserver/aggregation/aggregator.h"
#include "apiserver/edit.h"
#include "apiserver/own_action.h"
#include "base/strings.h"

namespace estiba::apiserver {
namespace {

constexpr std::string_view managed = "kube-aggregator.kubernetes.io/automanaged";
constexpr int64_t custom_group_priority = 1000, custom_version_priority = 100;

struct Priority {
  std::string_view group, version;
  int64_t of_group, of_version;
};
// As kube-apiserver registers them (cmd/kube-apiserver/app/aggregator.go, pkg/controlplane/apiserver/aggregator.go).
constexpr Priority priorities[] = {
    {"", "v1", 18000, 1},
    {"apps", "v1", 17800, 15},
    {"events.k8s.io", "v1", 17750, 15},
    {"authentication.k8s.io", "v1", 17700, 15},
    {"authorization.k8s.io", "v1", 17600, 15},
    {"autoscaling", "v2", 17500, 30},
    {"autoscaling", "v1", 17500, 15},
    {"batch", "v1", 17400, 15},
    {"certificates.k8s.io", "v1", 17300, 15},
    {"certificates.k8s.io", "v1beta1", 17300, 9},
    {"certificates.k8s.io", "v1alpha1", 17300, 1},
    {"networking.k8s.io", "v1", 17200, 15},
    {"networking.k8s.io", "v1beta1", 17200, 9},
    {"policy", "v1", 17100, 15},
    {"rbac.authorization.k8s.io", "v1", 17000, 15},
    {"storage.k8s.io", "v1", 16800, 15},
    {"storage.k8s.io", "v1beta1", 16800, 9},
    {"apiextensions.k8s.io", "v1", 16700, 15},
    {"admissionregistration.k8s.io", "v1", 16700, 15},
    {"admissionregistration.k8s.io", "v1beta1", 16700, 12},
    {"admissionregistration.k8s.io", "v1alpha1", 16700, 9},
    {"scheduling.k8s.io", "v1", 16600, 15},
    {"scheduling.k8s.io", "v1alpha2", 16600, 2},
    {"coordination.k8s.io", "v1", 16500, 15},
    {"coordination.k8s.io", "v1beta1", 16500, 13},
    {"coordination.k8s.io", "v1alpha2", 16500, 12},
    {"node.k8s.io", "v1", 16300, 15},
    {"discovery.k8s.io", "v1", 16200, 15},
    {"resource.k8s.io", "v1", 16200, 21},
    {"resource.k8s.io", "v1beta2", 16200, 15},
    {"resource.k8s.io", "v1beta1", 16200, 9},
    {"resource.k8s.io", "v1alpha3", 16200, 1},
    {"flowcontrol.apiserver.k8s.io", "v1", 16100, 21},
    {"internal.apiserver.k8s.io", "v1alpha1", 16000, 9},
    {"storagemigration.k8s.io", "v1beta1", 15800, 9},
    {"metrics.k8s.io", "v1beta1", 100, 100},  // as metrics-server registers itself
};

// nullopt: a built-in group that registers nothing (apiregistration.k8s.io itself).
std::optional<std::pair<int64_t, int64_t>> priority_of(std::string_view group, std::string_view version) {
  for (const Priority& row : priorities)
    if (row.group == group && row.version == version) return std::pair{row.of_group, row.of_version};
  if (model::schema::find_group(group)) return std::nullopt;
  return std::pair{custom_group_priority, custom_version_priority};
}

Action make(Verb verb, std::string_view group, std::string_view resource, std::string ns, std::string name) {
  Action action = own_action(verb, *model::schema::find_resource(group, "v1", resource), std::move(ns), std::move(name));
  action.write.user_agent = "kube-apiserver";
  return action;
}

std::string body_of(std::string_view name, std::string_view group, std::string_view version, std::pair<int64_t, int64_t> priority,
                    bool custom) {
  std::string out = R"({"metadata":{"name":)";
  json::append_string(out, name);
  out.append(",\"labels\":{\"").append(managed).append(custom ? "\":\"true\"}}" : "\":\"onstart\"}}");
  out += ",\"spec\":{";
  if (!group.empty()) {
    out += "\"group\":";
    json::append_string(out, group);
    out += ',';
  }
  out += "\"version\":";
  json::append_string(out, version);
  return out + ",\"groupPriorityMinimum\":" + std::to_string(priority.first) + ",\"versionPriority\":" + std::to_string(priority.second) +
         "}}";
}

Task<void> create(Registry* registry, std::string body, Result<void>* result) {
  Action action = make(Verb::create, "apiregistration.k8s.io", "apiservices", {}, {});
  action.body = std::move(body);
  auto made = co_await registry->create(std::move(action));
  if (!made && made.error().code != Code::already_exists) *result = std::unexpected(std::move(made.error()));
}

Task<void> remove(Registry* registry, std::string name) {
  (void)co_await registry->remove(make(Verb::remove, "apiregistration.k8s.io", "apiservices", {}, std::move(name)));
}

}  // namespace

int64_t group_priority_of(std::string_view group) {
  for (const Priority& row : priorities)
    if (row.group == group) return row.of_group;
  // apiregistration.k8s.io comes right after the core group.
  return model::schema::find_group(group) ? priorities[0].of_group - 1 : custom_group_priority;
}

Task<Result<void>> register_local(Registry& registry, bool starting) {
  std::map<std::string, std::string> there;  // name to how it is managed
  for (const model::ObjectRef& object : CO_TRY(registry.cluster().all("apiregistration.k8s.io", "apiservices")))
    there[object.meta().name] = object.meta().label(managed);
  const model::CatalogPtr catalog = registry.cluster().catalog();
  Result<void> result;
  TaskGroup writes;
  std::set<std::string> served;
  for (const model::schema::Group& group : catalog->groups()) {
    const bool custom = !model::schema::find_group(group.name);
    for (const model::schema::Version& version : group.versions) {
      const std::string name = std::string(version.name) + "." + std::string(group.name);
      served.insert(name);
      auto priority = priority_of(group.name, version.name);
      if (!priority || there.contains(name) || !(custom || starting)) continue;
      writes.start(create(&registry, body_of(name, group.name, version.name, *priority, custom), &result));
    }
  }
  for (const auto& [name, how] : there)
    if (!served.contains(name) && (how == "true" || (how == "onstart" && starting))) writes.start(remove(&registry, name));
  co_await writes.join();
  co_return result;
}

Task<Result<void>> publish_authentication(Registry& registry, AggregatorOptions options) {
  constexpr std::string_view name = "extension-apiserver-authentication";
  json::Document doc;
  doc.set_root(doc.make_object());
  json::Node& metadata = doc.ensure_object(doc.root(), "metadata");
  doc.set(metadata, "name", name);
  doc.set(metadata, "namespace", "kube-system");
  json::Node& data = doc.ensure_object(doc.root(), "data");
  if (!options.client_ca_pem.empty()) doc.set(data, "client-ca-file", options.client_ca_pem);
  if (!options.front.ca_pem.empty()) {
    doc.set(data, "requestheader-allowed-names", R"(["front-proxy-client"])");
    doc.set(data, "requestheader-client-ca-file", options.front.ca_pem);
    doc.set(data, "requestheader-extra-headers-prefix", R"(["X-Remote-Extra-"])");
    doc.set(data, "requestheader-group-headers", R"(["X-Remote-Group"])");
    doc.set(data, "requestheader-uid-headers", R"(["X-Remote-Uid"])");
    doc.set(data, "requestheader-username-headers", R"(["X-Remote-User"])");
  }
  auto there = registry.cluster().find("", "configmaps", "kube-system", name);
  if (there) {
    auto old = json::Document::parse(there->object->json());
    if (old && same(old->root().find("data"), &data)) co_return {};
  }
  Action action = make(there ? Verb::update : Verb::create, "", "configmaps", "kube-system", std::string(name));
  action.body = json::print(doc.root());
  auto written = there ? co_await registry.update(std::move(action)) : co_await registry.create(std::move(action));
  if (!written) co_return std::unexpected(std::move(written.error()));
  co_return {};
}

}  // namespace estiba::apiserver
