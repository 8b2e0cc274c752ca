// EndpointSlices of Services with a selector. A pod that becomes ready is in its slice one write later.
#include "client/json_writer.h"
#include "client/selectors.h"
#include "controllers/framework.h"
#include "controllers/owned.h"
#include "controllers/slice_plan.h"
#include "controllers/table.h"

namespace estiba::controllers {

using client::JsonWriter;
using model::ObjectRef;

namespace {

constexpr std::string_view service_label = "kubernetes.io/service-name";
constexpr std::string_view manager_label = "endpointslice.kubernetes.io/managed-by";
constexpr std::string_view manager = "endpointslice-controller.k8s.io";
constexpr std::string_view headless_label = "service.kubernetes.io/headless";

class EndpointSliceController final : public Controller {
 public:
  explicit EndpointSliceController(Context& context)
      : Controller(context, "endpoint-slice-controller", {.workers = 16}),
        services_(watch(client::services)),
        pods_(informer(client::pods)),
        nodes_(informer(client::nodes)),
        slices_(informer(client::endpoint_slices)),
        services_by_namespace_(services_.namespace_index()),
        pods_by_namespace_(pods_.namespace_index()),
        slices_by_service_(slices_.shared_index("service", [](const model::Object& object, std::vector<std::string>& values) {
          if (object.meta().label(manager_label) == manager)
            values.push_back(client::key_of(object.meta().ns, object.meta().label(service_label)));
        })) {
    pods_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (!changes_endpoints(before, after)) return;
      for (const ObjectRef* pod : {&before, &after})
        if (*pod) each_service_of(services_, services_by_namespace_, *pod, [this](const ObjectRef& service) { enqueue(service); });
    });
    slices_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      for (const ObjectRef* slice : {&before, &after})
        if (*slice && slice->meta().label(manager_label) == manager)
          enqueue(client::key_of(slice->meta().ns, slice->meta().label(service_label)));
    });
  }

 private:
  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef service = services_.get(key);
    // The slices of a Service that is gone are the garbage collector's.
    if (!service || !service.meta().deletion_timestamp.empty() || !selects_pods(service)) co_return {};
    const std::vector<ObjectRef> slices = slices_.find(slices_by_service_, key);
    std::vector<SliceState> present;
    for (const ObjectRef& slice : slices)
      if (slice.meta().deletion_timestamp.empty()) present.push_back(SliceState::of(slice));
    std::sort(present.begin(), present.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    const std::vector<SliceState> wanted =
        plan_slices(present, endpoint_groups(service, pods_.find(pods_by_namespace_, service.meta().ns), nodes_), families_of(service));

    for (const SliceState& slice : wanted) {
      if (slice.name.empty()) {
        CO_TRY(co_await create(service, slice));
        continue;
      }
      const ObjectRef was = slices_.get(service.meta().ns, slice.name);
      const auto state = std::find_if(present.begin(), present.end(), [&](const auto& s) { return s.name == slice.name; });
      if (was && (*state != slice || labels_differ(service, was))) CO_TRY(co_await change(service, was, slice));
    }
    for (const SliceState& slice : present) {
      if (std::any_of(wanted.begin(), wanted.end(), [&](const auto& s) { return s.name == slice.name; })) continue;
      auto removed = co_await client_.remove(client::endpoint_slices, service.meta().ns, slice.name);
      if (!removed && removed.error().code != Code::not_found) co_return removed;
    }
    co_return {};
  }

  static std::vector<std::pair<std::string, std::string>> labels_for(const ObjectRef& service) {
    std::vector<std::pair<std::string, std::string>> labels;
    for (const auto& [key, value] : service.meta().labels)
      if (key != service_label && key != manager_label && key != headless_label) labels.emplace_back(key, value);
    labels.emplace_back(service_label, service.meta().name);
    labels.emplace_back(manager_label, manager);
    if (is_headless(service)) labels.emplace_back(headless_label, "");
    return labels;
  }

  static bool labels_differ(const ObjectRef& service, const ObjectRef& slice) {
    auto labels = labels_for(service);
    std::sort(labels.begin(), labels.end());
    return labels != slice.meta().labels;
  }

  static void write_content(JsonWriter& json, const SliceState& slice) {
    json.array("endpoints");
    for (const EndpointFacts& e : slice.endpoints) {
      json.object().array("addresses").value(e.address).end();
      json.object("conditions").field("ready", e.ready).field("serving", e.serving).field("terminating", e.terminating).end();
      json.optional("hostname", e.hostname).optional("nodeName", e.node).optional("zone", e.zone);
      if (!e.hint_zone.empty() || !e.hint_node.empty()) {
        json.object("hints");
        if (!e.hint_zone.empty()) json.array("forZones").object().field("name", e.hint_zone).end().end();
        if (!e.hint_node.empty()) json.array("forNodes").object().field("name", e.hint_node).end().end();
        json.end();
      }
      json.object("targetRef").field("kind", "Pod").field("namespace", e.pod_ns).field("name", e.pod).field("uid", e.pod_uid).end().end();
    }
    json.end().array("ports");
    for (const ServicePortTarget& port : slice.ports)
      json.object()
          .field("name", port.name)
          .field("protocol", port.protocol)
          .field("port", port.port)
          .optional("appProtocol", port.app_protocol)
          .end();
    json.end();
  }

  Task<Result<void>> create(ObjectRef service, const SliceState& slice) {
    const model::Meta& meta = service.meta();
    JsonWriter json;
    json.object().field("apiVersion", "discovery.k8s.io/v1").field("kind", "EndpointSlice").object("metadata");
    json.field("generateName", meta.name + "-").field("namespace", meta.ns).object("labels");
    for (const auto& [key, value] : labels_for(service)) json.field(key, value);
    json.end().array("ownerReferences");
    write_controller_reference(json, meta);
    json.end().end().field("addressType", slice.family);
    write_content(json, slice);
    json.end();
    auto made = co_await client_.create(client::endpoint_slices, meta.ns, json.take());
    if (made) slices_.observe(*made);
    else co_return std::unexpected(std::move(made.error().context("create an endpoint slice for service " + client::key_of(meta))));
    co_return {};
  }

  Task<Result<void>> change(ObjectRef service, ObjectRef was, const SliceState& slice) {
    JsonWriter json;
    json.object().object("metadata").object("labels");
    const auto labels = labels_for(service);
    for (const auto& [key, value] : labels) json.field(key, value);
    for (const auto& [key, value] : was.meta().labels)
      if (std::none_of(labels.begin(), labels.end(), [&](const auto& label) { return label.first == key; })) json.null(key);
    json.end().end();
    write_content(json, slice);
    json.end();
    auto written = co_await client_.patch(client::endpoint_slices, was.meta().ns, was.meta().name, client::PatchType::merge, json.take());
    if (written) slices_.observe(*written);
    else co_return std::unexpected(std::move(written.error().context("change endpoint slice " + client::key_of(was))));
    co_return {};
  }

  client::Informer& services_;
  client::Informer& pods_;
  client::Informer& nodes_;
  client::Informer& slices_;
  const client::Informer::Index services_by_namespace_, pods_by_namespace_, slices_by_service_;
};

}  // namespace

std::unique_ptr<Controller> make_endpoint_slice_controller(Context& context) { return std::make_unique<EndpointSliceController>(context); }

}  // namespace estiba::controllers
