// EndpointSlices of Services without a selector: whatever somebody writes into the Service's Endpoints is there for those who read
// slices only. Slices have the Endpoints' labels and annotations, and go with them.
#include <arpa/inet.h>

#include <algorithm>
#include <map>

#include "client/json_writer.h"
#include "controllers/framework.h"
#include "controllers/owned.h"
#include "controllers/table.h"
#include "model/types/core_v1.h"
#include "model/types/discovery_v1.h"

namespace estiba::controllers {

using client::EventType;
using model::ObjectRef;
using model::core_v1::Endpoints;
using model::discovery_v1::Endpoint;
using model::discovery_v1::EndpointSlice;

namespace {

constexpr std::string_view service_label = "kubernetes.io/service-name";
constexpr std::string_view manager_label = "endpointslice.kubernetes.io/managed-by";
constexpr std::string_view manager = "endpointslicemirroring-controller.k8s.io";
constexpr std::string_view skip_label = "endpointslice.kubernetes.io/skip-mirror";
constexpr std::string_view leader_annotation = "control-plane.alpha.kubernetes.io/leader";
constexpr std::string_view trigger_annotation = "endpoints.kubernetes.io/last-change-trigger-time";
constexpr size_t most_addresses = 1000;  // of one subset; what is beyond them is not mirrored

// The family of an address and its usual text; nullopt when it is none.
std::optional<std::pair<std::string, std::string>> address_of(const std::string& text) {
  unsigned char bytes[16];
  char usual[INET6_ADDRSTRLEN] = "";
  for (const auto& [family, name] : {std::pair(AF_INET, "IPv4"), std::pair(AF_INET6, "IPv6")}) {
    if (inet_pton(family, text.c_str(), bytes) != 1) continue;
    inet_ntop(family, bytes, usual, sizeof usual);
    return std::pair<std::string, std::string>(name, usual);
  }
  return std::nullopt;
}

// The slices that should be, by family and ports: what those of the subsets have in common is put together.
struct Wanted {
  std::map<std::string, EndpointSlice> slices;
  size_t invalid = 0, skipped = 0;
};

std::string key_of_slice(const EndpointSlice& slice) {
  std::string key = slice.addressType;
  std::vector<std::string> ports;
  for (const auto& port : slice.ports) ports.push_back(model::encode(port));
  std::sort(ports.begin(), ports.end());
  for (const std::string& port : ports) key += port;
  return key;
}

void add_address(Wanted& wanted, const model::core_v1::EndpointSubset& subset, const model::core_v1::EndpointAddress& address, bool ready,
                 size_t& added) {
  if (added >= most_addresses) {
    ++wanted.skipped;
    return;
  }
  const auto parsed = address_of(address.ip);
  if (!parsed) {
    ++wanted.invalid;
    return;
  }
  ++added;
  EndpointSlice empty;
  empty.addressType = parsed->first;
  for (const auto& port : subset.ports)
    empty.ports.push_back(
        {.name = port.name, .protocol = port.protocol.empty() ? "TCP" : port.protocol, .port = port.port, .appProtocol = port.appProtocol});
  EndpointSlice& slice = wanted.slices.try_emplace(key_of_slice(empty), empty).first->second;
  Endpoint made{.addresses = {parsed->second}, .hostname = address.hostname, .targetRef = address.targetRef, .nodeName = address.nodeName};
  made.conditions.ensure().ready = ready;
  const auto same_address = [&](const Endpoint& each) {
    return each.addresses == made.addresses && (!each.targetRef || !made.targetRef || each.targetRef->uid == made.targetRef->uid);
  };
  if (std::none_of(slice.endpoints.begin(), slice.endpoints.end(), same_address)) slice.endpoints.push_back(std::move(made));
}

Wanted slices_of(const Endpoints& endpoints) {
  Wanted wanted;
  for (const auto& subset : endpoints.subsets) {
    size_t added = 0;
    for (const auto& address : subset.addresses) add_address(wanted, subset, address, true, added);
    for (const auto& address : subset.notReadyAddresses) add_address(wanted, subset, address, false, added);
  }
  return wanted;
}

std::map<std::string, std::string> labels_for(const model::Meta& endpoints) {
  std::map<std::string, std::string> labels(endpoints.labels.begin(), endpoints.labels.end());
  labels[std::string(service_label)] = endpoints.name;
  labels[std::string(manager_label)] = manager;
  return labels;
}

std::map<std::string, std::string> annotations_for(const model::Meta& endpoints) {
  std::map<std::string, std::string> annotations(endpoints.annotations.begin(), endpoints.annotations.end());
  annotations.erase(std::string(trigger_annotation));
  return annotations;
}

// As a merge patch of `before`, or as a whole when that is empty.
void write_map(client::JsonWriter& json, std::string_view name, const std::map<std::string, std::string>& now,
               const model::Labels& before) {
  json.object(name);
  for (const auto& [key, value] : now) json.field(key, value);
  for (const auto& [key, value] : before)
    if (!now.contains(key)) json.null(key);
  json.end();
}

bool is_same(const std::map<std::string, std::string>& now, const model::Labels& before) {
  return std::equal(now.begin(), now.end(), before.begin(), before.end(),
                    [](const auto& a, const auto& b) { return a.first == b.first && a.second == b.second; });
}

class EndpointSliceMirroring final : public Controller {
 public:
  explicit EndpointSliceMirroring(Context& context)
      : Controller(context, "endpoint-slice-mirroring-controller", {.workers = 5}),
        endpoints_(watch(client::endpoints)),
        services_(watch(client::services)),
        slices_(informer(client::endpoint_slices)),
        mirrored_(slices_.add_index([](const model::Object& slice, std::vector<std::string>& values) {
          if (slice.meta().label(manager_label) == manager)
            values.push_back(client::key_of(slice.meta().ns, slice.meta().label(service_label)));
        })) {
    slices_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      for (const ObjectRef* slice : {&before, &after})
        if (*slice && slice->meta().label(manager_label) == manager)
          enqueue(client::key_of(slice->meta().ns, slice->meta().label(service_label)));
    });
  }

 private:
  bool is_mirrored(const ObjectRef& endpoints, const ObjectRef& service) const {
    if (!endpoints || !service || !endpoints.meta().deletion_timestamp.empty()) return false;
    return service.as<model::core_v1::Service>().spec.selector.empty() && endpoints.meta().label(skip_label) != "true" &&
           endpoints.meta().annotation(leader_annotation).empty();
  }

  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef endpoints = endpoints_.get(key), service = services_.get(key);
    Wanted wanted;
    const bool mirrored = is_mirrored(endpoints, service);
    if (mirrored) wanted = slices_of(endpoints.as<Endpoints>());
    if (wanted.invalid > 0)
      events_.record(endpoints, EventType::warning, "InvalidIPAddress",
                     "Skipped " + std::to_string(wanted.invalid) + " invalid IP addresses when mirroring to EndpointSlices");
    if (wanted.skipped > 0)
      events_.record(endpoints, EventType::warning, "TooManyAddressesToMirror",
                     "A max of " + std::to_string(most_addresses) + " addresses can be mirrored to EndpointSlices per Endpoints subset. " +
                         std::to_string(wanted.skipped + wanted.invalid) + " addresses were skipped");
    std::vector<ObjectRef> present = slices_.find(mirrored_, key);
    std::sort(present.begin(), present.end(), [](const auto& a, const auto& b) { return a.meta().name < b.meta().name; });
    for (const ObjectRef& slice : present) {
      if (!slice.meta().deletion_timestamp.empty()) continue;
      auto same = wanted.slices.extract(key_of_slice(slice.as<EndpointSlice>()));
      if (same.empty()) CO_TRY(co_await remove(slice));
      else CO_TRY(co_await change(endpoints, slice, std::move(same.mapped())));
    }
    for (const auto& [ports, slice] : wanted.slices) CO_TRY(co_await create(endpoints, slice));
    co_return {};
  }

  static void write_content(client::JsonWriter& json, const EndpointSlice& slice) {
    json.array("endpoints");
    for (const auto& each : slice.endpoints) json.raw_value(model::encode(each));
    json.end().array("ports");
    for (const auto& each : slice.ports) json.raw_value(model::encode(each));
    json.end();
  }

  Task<Result<void>> create(ObjectRef endpoints, const EndpointSlice& slice) {
    const model::Meta& meta = endpoints.meta();
    client::JsonWriter json;
    json.object().field("apiVersion", "discovery.k8s.io/v1").field("kind", "EndpointSlice").object("metadata");
    json.field("generateName", meta.name + "-").field("namespace", meta.ns);
    write_map(json, "labels", labels_for(meta), {});
    write_map(json, "annotations", annotations_for(meta), {});
    json.array("ownerReferences");
    write_controller_reference(json, meta);
    json.end().end().field("addressType", slice.addressType);
    write_content(json, slice);
    json.end();
    auto made = co_await client_.create(client::endpoint_slices, meta.ns, json.take());
    if (!made) co_return std::unexpected(std::move(made.error()).context("mirror endpoints " + client::key_of(meta)));
    slices_.observe(*made);
    co_return {};
  }

  Task<Result<void>> change(ObjectRef endpoints, ObjectRef was, EndpointSlice slice) {
    const auto labels = labels_for(endpoints.meta()), annotations = annotations_for(endpoints.meta());
    const auto& there = was.as<EndpointSlice>();
    const bool same_endpoints = std::equal(slice.endpoints.begin(), slice.endpoints.end(), there.endpoints.begin(), there.endpoints.end(),
                                           [](const Endpoint& a, const Endpoint& b) { return model::same(a, b); });
    if (same_endpoints && is_same(labels, was.meta().labels) && is_same(annotations, was.meta().annotations)) co_return {};
    client::JsonWriter json;
    json.object().object("metadata").field("resourceVersion", was.resource_version());
    write_map(json, "labels", labels, was.meta().labels);
    write_map(json, "annotations", annotations, was.meta().annotations);
    json.end();
    write_content(json, slice);
    json.end();
    auto written = co_await client_.patch(client::endpoint_slices, was.meta().ns, was.meta().name, client::PatchType::merge, json.take());
    if (!written) co_return std::unexpected(std::move(written.error()).context("change endpoint slice " + client::key_of(was)));
    slices_.observe(*written);
    co_return {};
  }

  Task<Result<void>> remove(ObjectRef slice) {
    auto removed = co_await client_.remove(client::endpoint_slices, slice.meta().ns, slice.meta().name, {.uid = slice.meta().uid});
    if (!removed && removed.error().code != Code::not_found && removed.error().code != Code::conflict)
      co_return std::unexpected(std::move(removed.error()).context("delete endpoint slice " + client::key_of(slice)));
    co_return {};
  }

  client::Informer& endpoints_;
  client::Informer& services_;
  client::Informer& slices_;
  const client::Informer::Index mirrored_;
};

}  // namespace

std::unique_ptr<Controller> make_endpoint_slice_mirroring(Context& context) { return std::make_unique<EndpointSliceMirroring>(context); }

}  // namespace estiba::controllers
