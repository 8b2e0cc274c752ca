// Endpoints: the older form of EndpointSlices, one object a Service, that kubectl describe and some programs still read.
#include "client/json_writer.h"
#include "controllers/framework.h"
#include "controllers/service_endpoints.h"
#include "controllers/table.h"

namespace estiba::controllers {

using client::JsonWriter;
using model::ObjectRef;

namespace {

constexpr std::string_view manager_label = "endpoints.kubernetes.io/managed-by";
constexpr std::string_view manager = "endpoint-controller";
constexpr std::string_view headless_label = "service.kubernetes.io/headless";
constexpr std::string_view capacity_annotation = "endpoints.kubernetes.io/over-capacity";
constexpr size_t capacity = 1000;  // addresses in one object

void write_addresses(JsonWriter& json, std::string_view field, const std::vector<const EndpointFacts*>& endpoints) {
  if (endpoints.empty()) return;
  json.array(field);
  for (const EndpointFacts* e : endpoints) {
    json.object().field("ip", e->address).optional("hostname", e->hostname).optional("nodeName", e->node);
    json.object("targetRef").field("kind", "Pod").field("namespace", e->pod_ns).field("name", e->pod).field("uid", e->pod_uid).end().end();
  }
  json.end();
}

/// The member `subsets` as JSON text; sets `cut` when there were more addresses than fit.
std::string subsets_json(const std::vector<EndpointGroup>& groups, bool* cut) {
  JsonWriter json;
  json.array();
  size_t room = capacity;
  for (const EndpointGroup& group : groups) {
    std::vector<const EndpointFacts*> ready, not_ready;
    for (const EndpointFacts& e : group.endpoints) {
      // The older form cannot say "terminating": such pods are left out, unless the Service publishes whatever there is.
      if (e.terminating && !e.ready) continue;
      if (room == 0) {
        *cut = true;
        break;
      }
      --room;
      (e.ready ? ready : not_ready).push_back(&e);
    }
    if (ready.empty() && not_ready.empty()) continue;
    json.object();
    write_addresses(json, "addresses", ready);
    write_addresses(json, "notReadyAddresses", not_ready);
    if (!group.ports.empty()) {
      json.array("ports");
      for (const ServicePortTarget& port : group.ports)
        json.object().optional("name", port.name).field("port", port.port).field("protocol", port.protocol).optional("appProtocol", port.app_protocol).end();
      json.end();
    }
    json.end();
  }
  json.end();
  return json.take();
}

class EndpointsController final : public Controller {
 public:
  explicit EndpointsController(Context& context)
      : Controller(context, "endpoint-controller", {.workers = 16}),
        services_(watch(client::services)),
        pods_(informer(client::pods)),
        nodes_(informer(client::nodes)),
        endpoints_(watch(client::endpoints)),
        services_by_namespace_(services_.namespace_index()),
        pods_by_namespace_(pods_.namespace_index()) {
    pods_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (!changes_endpoints(before, after)) return;
      for (const ObjectRef* pod : {&before, &after})
        if (*pod) each_service_of(services_, services_by_namespace_, *pod, [this](const ObjectRef& service) { enqueue(service); });
    });
  }

 private:
  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef service = services_.get(key), present = endpoints_.get(key);
    if (!service) {
      // What a user made for a Service of his own, or for other ends, is not ours to delete.
      if (!present || present.meta().label(manager_label) != manager) co_return {};
      auto removed = co_await client_.remove(client::endpoints, present.meta().ns, present.meta().name, {.uid = present.meta().uid});
      if (!removed && removed.error().code != Code::not_found) co_return removed;
      co_return {};
    }
    if (!service.meta().deletion_timestamp.empty() || !selects_pods(service)) co_return {};
    bool cut = false;
    std::vector<EndpointGroup> groups = endpoint_groups(service, pods_.find(pods_by_namespace_, service.meta().ns), nodes_);
    const std::string family = families_of(service)[0];
    std::erase_if(groups, [&](const EndpointGroup& group) { return group.family != family; });
    const std::string subsets = subsets_json(groups, &cut);
    if (present && CO_TRY(is_right(service, present, subsets, cut))) co_return {};
    const model::Meta& meta = service.meta();
    const std::string body = body_of(service, present, subsets, cut);
    auto written = present ? co_await client_.patch(client::endpoints, meta.ns, meta.name, client::PatchType::merge, body) : co_await client_.create(client::endpoints, meta.ns, body);
    if (written) endpoints_.observe(*written);
    else co_return std::unexpected(std::move(written.error().context("write endpoints " + key)));
    co_return {};
  }

  static model::Labels labels_for(const ObjectRef& service) {
    model::Labels labels;
    for (const auto& [key, value] : service.meta().labels)
      if (key != manager_label && key != headless_label) labels.emplace_back(key, value);
    labels.emplace_back(manager_label, manager);
    if (is_headless(service)) labels.emplace_back(headless_label, "");
    std::sort(labels.begin(), labels.end());
    return labels;
  }

  static Result<bool> is_right(const ObjectRef& service, const ObjectRef& present, const std::string& subsets, bool cut) {
    if (present.meta().labels != labels_for(service) || (present.meta().annotation(capacity_annotation) == "truncated") != cut) return false;
    const json::Document is = TRY(json::Document::parse(present.object->json())), wanted = TRY(json::Document::parse(subsets));
    const json::Node* node = is.root().find("subsets");
    return node ? json::equal(*node, wanted.root()) : wanted.root().empty();
  }

  static std::string body_of(const ObjectRef& service, const ObjectRef& present, const std::string& subsets, bool cut) {
    const model::Labels labels = labels_for(service);
    JsonWriter json;
    json.object().field("apiVersion", "v1").field("kind", "Endpoints").object("metadata");
    json.field("name", service.meta().name).field("namespace", service.meta().ns).object("labels");
    for (const auto& [key, value] : labels) json.field(key, value);
    if (present)
      for (const auto& [key, value] : present.meta().labels)
        if (std::none_of(labels.begin(), labels.end(), [&](const auto& label) { return label.first == key; })) json.null(key);
    json.end();
    if (cut) json.object("annotations").field(capacity_annotation, "truncated").end();
    else if (present && !present.meta().annotation(capacity_annotation).empty()) json.object("annotations").null(capacity_annotation).end();
    json.end().raw("subsets", subsets).end();
    return json.take();
  }

  client::Informer& services_;
  client::Informer& pods_;
  client::Informer& nodes_;
  client::Informer& endpoints_;
  const client::Informer::Index services_by_namespace_, pods_by_namespace_;
};

}  // namespace

std::unique_ptr<Controller> make_endpoints_controller(Context& context) { return std::make_unique<EndpointsController>(context); }

}  // namespace estiba::controllers
