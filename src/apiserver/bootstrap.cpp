// Api::bootstrap: what a cluster has from the beginning.
#include "apiserver/api_errors.h"
#include "apiserver/bootstrap_rbac.h"
#include "apiserver/gateway_api_schemas.h"
#include "apiserver/own_action.h"
#include "apiserver/server.h"
#include "apiserver/service_catalog_schemas.h"
#include "apiserver/service_repair.h"
#include "base/log.h"

namespace estiba::apiserver {
namespace {

Task<Result<void>> create_once(Registry& registry, std::string_view group, std::string_view version, std::string_view resource,
                               std::string ns, std::string name, std::string json) {
  Action action = own_action(Verb::create, *model::schema::find_resource(group, version, resource), std::move(ns), {});
  action.body = std::move(json);
  if (registry.cluster().find(group, resource, action.ns, name)) co_return {};
  auto outcome = co_await registry.create(std::move(action));
  if (!outcome && outcome.error().code != Code::already_exists)
    co_return std::unexpected(std::move(outcome.error()).context("create " + name));
  co_return {};
}

// A definition with what this version of the server says of a kind; who has taken it over by one of their own keeps it.
constexpr std::string_view schema_annotation = "estiba.dev/schema", bundle_annotation = "gateway.networking.k8s.io/bundle-version";

bool is_outdated(const model::ObjectRef& definition, std::string_view version) {
  const std::string_view there = definition.meta().annotation(schema_annotation);
  return !there.empty() && there != version && definition.meta().annotation(bundle_annotation).empty();
}

Task<Result<void>> renew(Registry& registry, const model::ObjectRef& there, std::string_view version, std::string_view wanted) {
  json::Document doc = CO_TRY(json::Document::parse(there.print()));
  const json::Document with = CO_TRY(json::Document::parse(wanted));
  doc.set(doc.root(), "spec", doc.copy(*with.root().find("spec")));
  doc.set(*doc.root().find("metadata")->find("annotations"), schema_annotation, version);
  Action action = own_action(Verb::update, *model::schema::find_resource("apiextensions.k8s.io", "v1", "customresourcedefinitions"), {},
                             there.meta().name);
  action.body = json::print(doc.root());
  auto done = co_await registry.update(std::move(action));
  // Another server may do the same at the same time.
  if (done) log::info("server", "a definition is now that of this version", {{"definition", there.meta().name}});
  else if (done.error().code != Code::conflict)
    log::warn("server", "a definition stays that of another version", {{"definition", there.meta().name}, {"error", done.error()}});
  co_return {};
}

template <class Kind>
Task<Result<void>> define(Registry& registry, std::span<const Kind> kinds, std::string_view group) {
  for (const Kind& kind : kinds) {
    std::string name = std::string(kind.plural) + "." + std::string(group);
    // Its text is made of YAML, which takes its time: not at every start.
    const std::string version = schema_version(kind);
    const auto there = registry.cluster().find("apiextensions.k8s.io", "customresourcedefinitions", {}, name);
    if (there && !is_outdated(*there, version)) continue;
    std::string text = CO_TRY(definition_of(kind));
    if (there) CO_TRY(co_await renew(registry, *there, version, text));
    else
      CO_TRY(
          co_await create_once(registry, "apiextensions.k8s.io", "v1", "customresourcedefinitions", {}, std::move(name), std::move(text)));
  }
  co_return {};
}

struct SystemClass {
  std::string_view name;
  int64_t value;
  std::string_view description;
};
constexpr SystemClass system_classes[] = {
    {"system-node-critical", 2000001000, "For pods that must not be moved from their node."},
    {"system-cluster-critical", 2000000000, "For pods that the cluster needs, on whichever node."},
};

// As kube-apiserver has it: of the primary family alone, also where there are two.
std::string kubernetes_service(const std::string& address) {
  return R"({"metadata":{"name":"kubernetes","labels":{"component":"apiserver","provider":"kubernetes"}},"spec":{"type":"ClusterIP","ipFamilyPolicy":"SingleStack","clusterIP":")" +
         address + R"(","ports":[{"name":"https","port":443,"protocol":"TCP","targetPort":6443}]}})";
}

}  // namespace

// The addresses of Services. A cluster of one family may be given the other one too (KEP-1880: the only change that a ServiceCIDR allows).
static Task<Result<void>> publish_service_cidrs(Registry& registry) {
  const std::vector<Prefix>& cidrs = registry.cluster().services().cidrs();
  std::string list;
  for (const Prefix& cidr : cidrs) list += (list.empty() ? "\"" : ",\"") + cidr.text() + "\"";
  CO_TRY(co_await create_once(registry, "networking.k8s.io", "v1", "servicecidrs", {}, "kubernetes",
                              R"({"metadata":{"name":"kubernetes"},"spec":{"cidrs":[)" + list + "]}}"));
  auto there = registry.cluster().find("networking.k8s.io", "servicecidrs", {}, "kubernetes");
  if (cidrs.size() < 2 || !there) co_return {};
  const json::Document doc = CO_TRY(json::Document::parse(there->object->json()));
  const json::Node* before = doc.root().at("spec", "cidrs");
  if (!before || before->size() != 1 || (*before)[0].as_string() != cidrs[0].text()) co_return {};
  Action action = own_action(Verb::patch, *model::schema::find_resource("networking.k8s.io", "v1", "servicecidrs"), {}, "kubernetes");
  action.body_type = BodyType::merge_patch;
  action.body = R"({"spec":{"cidrs":[)" + list + "]}}";
  auto grown = co_await registry.patch(std::move(action));
  if (!grown) co_return std::unexpected(std::move(grown.error()).context("give Services addresses of a second family"));
  log::info("services", "Services may have addresses of both families now", {{"cidrs", list}});
  co_return {};
}

// The address where Service default/kubernetes leads may change between starts, so it is written each time it differs.
static Task<Result<void>> publish_endpoints(Registry& registry, const ClusterOptions& options) {
  const std::string port = std::to_string(options.port);
  const std::string family(family_name(options.advertise_address.contains(':')));
  std::string subsets =
      R"({"metadata":{"name":"kubernetes","labels":{"endpointslice.kubernetes.io/skip-mirror":"true"}},"subsets":[{"addresses":[{"ip":")" +
      options.advertise_address + R"("}],"ports":[{"name":"https","port":)" + port + R"(,"protocol":"TCP"}]}]})";
  std::string slice = R"({"metadata":{"name":"kubernetes","labels":{"kubernetes.io/service-name":"kubernetes"}},"addressType":")" + family +
                      R"(","endpoints":[{"addresses":[")" + options.advertise_address +
                      R"("],"conditions":{"ready":true}}],"ports":[{"name":"https","port":)" + port + R"(,"protocol":"TCP"}]})";
  struct Row {
    std::string_view group, resource;
    std::string* body;
  };
  for (Row row : {Row{"", "endpoints", &subsets}, Row{"discovery.k8s.io", "endpointslices", &slice}}) {
    auto before = registry.cluster().find(row.group, row.resource, "default", "kubernetes");
    bool there = before.has_value();
    if (there && !before->object->json().contains("\"addressType\":\"" + family + "\"") && row.body == &slice) {
      // A slice's family is for ever.
      auto removed = co_await registry.remove(
          own_action(Verb::remove, *model::schema::find_resource(row.group, "v1", row.resource), "default", "kubernetes"));
      if (!removed) co_return std::unexpected(std::move(removed.error()).context("publish the API server's address"));
      there = false;
    }
    Action action = own_action(there ? Verb::update : Verb::create, *model::schema::find_resource(row.group, "v1", row.resource), "default",
                               "kubernetes");
    action.body = *row.body;
    auto outcome = there ? co_await registry.update(std::move(action)) : co_await registry.create(std::move(action));
    if (!outcome) co_return std::unexpected(std::move(outcome.error()).context("publish the API server's address"));
  }
  co_return {};
}

Task<Result<void>> Api::publish_service() {
  CO_TRY(co_await publish_service_cidrs(registry_));
  CO_TRY(co_await create_once(registry_, "", "v1", "services", "default", "kubernetes",
                              kubernetes_service(cluster_->services().first_address())));
  co_return co_await publish_endpoints(registry_, cluster_->options());
}

Task<Result<void>> define_service_catalog(Registry& registry) {
  co_return co_await define(registry, service_catalog_kinds(), service_catalog_group);
}

Task<Result<void>> Api::bootstrap() {
  for (std::string_view name : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
    CO_TRY(co_await create_once(registry_, "", "v1", "namespaces", {}, std::string(name),
                                "{\"metadata\":{\"name\":\"" + std::string(name) + "\"}}"));
  }
  // What an older version has stored has no reservations.
  CO_TRY_AS("check the Services' addresses", co_await repair_reservations(registry_));
  // Of several servers the one that leads says where the service leads to.
  if (!freshness_ || !registry_.cluster().find("", "endpoints", "default", "kubernetes")) CO_TRY(co_await publish_service());
  for (const SystemClass& one : system_classes) {
    CO_TRY(co_await create_once(registry_, "scheduling.k8s.io", "v1", "priorityclasses", {}, std::string(one.name),
                                "{\"metadata\":{\"name\":\"" + std::string(one.name) + "\"},\"value\":" + std::to_string(one.value) +
                                    ",\"description\":\"" + std::string(one.description) + "\"}"));
  }
  CO_TRY(co_await define(registry_, gateway_kinds(), "gateway.networking.k8s.io"));
  CO_TRY(co_await create_once(registry_, "networking.k8s.io", "v1", "ingressclasses", {}, "estiba",
                              R"({"metadata":{"name":"estiba"},"spec":{"controller":"estiba.dev/ingress"}})"));
  CO_TRY(co_await reconcile_rbac(registry_));
  ready_ = true;
  co_return {};
}

}  // namespace estiba::apiserver
