// ServiceCIDRs: each gets a finalizer and the condition Ready, and one that is being deleted stays while there are IPAddresses that
// no other one has (kube-controller-manager's service-cidr-controller).
#include <algorithm>

#include "base/address.h"
#include "base/strings.h"
#include "base/time.h"
#include "client/finalizers.h"
#include "client/json_writer.h"
#include "controllers/framework.h"
#include "controllers/table.h"
#include "model/json.h"

namespace estiba::controllers {

using model::ObjectRef;

namespace {

constexpr client::Resource service_cidrs{"networking.k8s.io", "v1", "servicecidrs"}, ip_addresses{"networking.k8s.io", "v1", "ipaddresses"};
constexpr std::string_view finalizer = "networking.k8s.io/service-cidr-finalizer";
// Labels of the IPAddresses that API servers have made for Services.
constexpr std::string_view manager_label = "ipaddress.kubernetes.io/managed-by", manager = "ipallocator.k8s.io";
// So long after its deletion every API server knows that nothing is to be allocated from a ServiceCIDR any more.
constexpr Duration deletion_grace = std::chrono::seconds(10);

// Of a ServiceCIDR's range, or of the one address that an IPAddress is named by.
std::optional<Prefix> parse_network(std::string_view text) {
  auto range = Prefix::parse_loose(text.contains('/') ? std::string(text) : std::string(text) + (text.contains(':') ? "/128" : "/32"));
  return range ? std::optional(*range) : std::nullopt;
}

std::vector<Prefix> networks_of(const json::Node& object) {
  std::vector<Prefix> out;
  const json::Node* list = object.at("spec", "cidrs");
  if (!list || !list->is_array()) return out;
  for (const json::Node& text : *list)
    if (auto network = parse_network(text.as_string())) out.push_back(*network);
  return out;
}

bool is_deleted(const ObjectRef& object) { return !object.meta().deletion_timestamp.empty(); }

struct Condition {
  std::string_view status, reason, message;
};
constexpr Condition ready{"True", "", "Kubernetes Service CIDR is ready"},
    blocked{"False", "Terminating",
            "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"};

class ServiceCidrController final : public Controller {
 public:
  explicit ServiceCidrController(Context& context)
      : Controller(context, "service-cidr-controller"), cidrs_(watch(service_cidrs)), addresses_(informer(ip_addresses)) {
    // What one of them has or loses may let another one go.
    cidrs_.on_change([this](const ObjectRef&, const ObjectRef&) { enqueue_deleted(); });
    addresses_.on_change([this](const ObjectRef&, const ObjectRef& after) {
      if (!after) enqueue_deleted();
    });
  }

 private:
  void enqueue_deleted() {
    cidrs_.each([this](const ObjectRef& object) {
      if (is_deleted(object)) enqueue(object);
    });
  }

  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef object = cidrs_.get(key);
    if (!object) co_return {};
    const json::Document doc = CO_TRY(json::Document::parse(object.object->json()));
    const bool held = client::has_finalizer(object.meta(), finalizer);
    if (!is_deleted(object)) {
      if (!held) CO_TRY(co_await write(object, client::finalizer_patch(object, finalizer, true), {}));
      co_return co_await write_condition(object, doc.root(), ready);
    }
    if (!held) co_return {};
    if (is_needed(object, doc.root())) co_return co_await write_condition(object, doc.root(), blocked);
    const WallTime deleted = CO_TRY(parse_rfc3339(object.meta().deletion_timestamp));
    const Duration left = deleted + deletion_grace - wall_now();
    if (left > Duration(0)) {
      enqueue_after(key, left);
      co_return {};
    }
    co_return co_await write(object, client::finalizer_patch(object, finalizer, false), {});
  }

  // Whether an address of a Service is in this one's networks and in no other's.
  bool is_needed(const ObjectRef& object, const json::Node& root) const {
    std::vector<Prefix> others;
    cidrs_.each([&](const ObjectRef& other) {
      if (other.meta().name == object.meta().name || is_deleted(other)) return;
      if (auto doc = json::Document::parse(other.object->json()))
        for (const Prefix& network : networks_of(doc->root())) others.push_back(network);
    });
    const std::vector<Prefix> own = networks_of(root);
    const auto in = [](const std::vector<Prefix>& all, const Prefix& inner) {
      return std::ranges::any_of(all, [&](const Prefix& outer) { return outer.contains(inner.address); });
    };
    bool needed = false;
    addresses_.each([&](const ObjectRef& address) {
      if (needed || address.meta().label(manager_label) != manager) return;
      const auto network = parse_network(address.meta().name);
      needed = network && in(own, *network) && !in(others, *network);
    });
    return needed;
  }

  Task<Result<void>> write_condition(ObjectRef object, const json::Node& root, Condition wanted) {
    client::JsonWriter json;
    json.object().object("status").array("conditions");
    const json::Node* list = root.at("status", "conditions");
    if (list && list->is_array()) {
      for (const json::Node& one : *list) {
        if (one.string_at("type") != "Ready") {
          json.raw_value(json::print(one));
          continue;
        }
        const bool same = one.string_at("status") == wanted.status && one.string_at("reason") == wanted.reason &&
                          one.string_at("message") == wanted.message;
        if (same) co_return {};
      }
    }
    json.object().field("type", "Ready").field("status", wanted.status).field("reason", wanted.reason).field("message", wanted.message);
    json.field("lastTransitionTime", format_rfc3339(wall_now())).end().end().end().end();
    co_return co_await write(object, json.take(), "status");
  }

  Task<Result<void>> write(ObjectRef object, std::string patch, std::string subresource) {
    const std::string name = object.meta().name;
    auto written = co_await client_.patch(service_cidrs, {}, name, client::PatchType::merge, std::move(patch),
                                          {.subresource = std::move(subresource), .field_manager = "service-cidr-controller"});
    if (!written && written.error().code != Code::not_found)
      co_return std::unexpected(std::move(written.error().context("write ServiceCIDR " + name)));
    if (written && !is_gone(*written)) cidrs_.observe(*written);
    co_return {};
  }
  // The last finalizer is off: the object that was answered is not there any more.
  static bool is_gone(const ObjectRef& object) { return is_deleted(object) && object.meta().finalizers.empty(); }

  client::Informer& cidrs_;
  client::Informer& addresses_;
};

}  // namespace

std::unique_ptr<Controller> make_service_cidr_controller(Context& context) { return std::make_unique<ServiceCidrController>(context); }

}  // namespace estiba::controllers
