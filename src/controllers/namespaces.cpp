// Namespace: when one is deleted, deletes all that is in it, waits until it is gone, then lets the namespace go. The pods go first: until
// the last one has ended it keeps what it lives by, its network policies above all.
#include <algorithm>
#include <map>

#include "base/lanes.h"
#include "base/time.h"
#include "client/json_writer.h"
#include "controllers/framework.h"
#include "controllers/kinds.h"
#include "controllers/table.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {

using client::JsonWriter;
using model::ObjectRef;
using model::core_v1::Namespace;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view own_finalizer = "kubernetes";

/// What is still there after everything was asked to go.
struct Remains {
  std::map<std::string, size_t> objects;     // "pods." → how many
  std::map<std::string, size_t> finalizers;  // finalizer → on how many objects
  std::string failures;
};

class NamespaceController final : public Controller {
 public:
  explicit NamespaceController(Context& context)
      : Controller(context, "namespace-controller", {.workers = 4}),
        namespaces_(watch(client::namespaces)),
        pods_(informer(client::pods)),
        definitions_(informer(custom_resource_definitions)),
        kinds_(context.options.kinds.empty() ? stored_kinds() : context.options.kinds) {
    std::erase_if(kinds_, [](const ResourceKind& kind) { return !kind.namespaced; });
    std::ranges::stable_partition(kinds_, is_pods);
    // Pods take longest to go; the last one's end is what a namespace waits for.
    const auto by_namespace = pods_.namespace_index();
    pods_.on_change([this, by_namespace](const ObjectRef& before, const ObjectRef& after) {
      if (after || pods_.count(by_namespace, before.meta().ns) > 0) return;
      const ObjectRef ns = namespaces_.get(before.meta().ns);
      if (ns && !ns.meta().deletion_timestamp.empty()) enqueue(before.meta().ns);
    });
  }

 private:
  static bool is_pods(const ResourceKind& kind) { return kind.resource.group.empty() && kind.resource.name == "pods"; }

  Task<Result<void>> reconcile(std::string name) override {
    const ObjectRef object = namespaces_.get(name);
    if (!object || object.meta().deletion_timestamp.empty()) {
      waits_.erase(name);
      co_return {};
    }
    const auto& finalizers = object.as<Namespace>().spec.finalizers;
    if (std::find(finalizers.begin(), finalizers.end(), own_finalizer) == finalizers.end()) co_return {};
    const Remains remains = co_await clear(name);
    CO_TRY(co_await write_conditions(object, remains));
    if (remains.objects.empty() && remains.failures.empty()) {
      waits_.erase(name);
      co_return co_await finalize(name);
    }
    // What has finalizers of its own gives no sign that we watch for: look again, less and less often.
    Duration& wait = waits_.try_emplace(name, 50ms).first->second;
    enqueue_after(name, wait);
    wait = std::min<Duration>(wait * 2, 10s);
    co_return {};
  }

  /// Deletes everything in the namespace, nothing beside the pods while there are any, and tells what is left after that.
  Task<Remains> clear(std::string ns) {
    Remains remains;
    std::vector<ResourceKind> kinds = kinds_;
    definitions_.each([&](const ObjectRef& definition) {
      if (auto kind = custom_kind(definition); kind && kind->namespaced) kinds.push_back(*kind);
    });
    for (const ResourceKind& kind : kinds) {
      auto list = co_await client_.list(kind.resource, ns);
      if (!list) {
        // A resource of the tables that this server does not serve holds nothing.
        if (list.error().code != Code::not_found && list.error().code != Code::unsupported) remains.failures = list.error().message;
        continue;
      }
      co_await in_lanes(list->items.size(), write_lanes,
                        [&](size_t i) { return remove_one(this, kind.resource, list->items[i], &remains); });
      if (list->items.empty()) continue;
      auto left = co_await client_.list(kind.resource, ns);
      if (!left || left->items.empty()) continue;
      std::string called(kind.resource.name);
      called.append(".").append(kind.resource.group);
      remains.objects[called] += left->items.size();
      for (const ObjectRef& object : left->items)
        for (const std::string& finalizer : object.meta().finalizers) ++remains.finalizers[finalizer];
      if (is_pods(kind)) co_return remains;
    }
    co_return remains;
  }

  static Task<void> remove_one(NamespaceController* self, client::Resource resource, ObjectRef object, Remains* remains) {
    if (!object.meta().deletion_timestamp.empty()) co_return;
    auto removed = co_await self->client_.remove(resource, object.meta().ns, object.meta().name,
                                                 {.propagation = "Background", .uid = object.meta().uid});
    if (!removed && removed.error().code != Code::not_found && removed.error().code != Code::conflict)
      remains->failures = "delete " + std::string(resource.name) + " " + object.meta().name + ": " + removed.error().message;
  }

  static std::string told(const std::map<std::string, size_t>& counts, std::string_view between) {
    std::string text;
    for (const auto& [what, count] : counts) {
      if (!text.empty()) text.append(", ");
      text.append(what).append(between).append(std::to_string(count)).append(" resource instances");
    }
    return text;
  }

  struct Condition {
    std::string_view type;
    bool status;
    std::string_view reason;
    std::string message;
  };

  static std::vector<Condition> conditions_of(const Remains& remains) {
    const bool content = !remains.objects.empty(), finalizers = !remains.finalizers.empty(), failed = !remains.failures.empty();
    return {
        {"NamespaceDeletionDiscoveryFailure", false, "ResourcesDiscovered", "All resources successfully discovered"},
        {"NamespaceDeletionGroupVersionParsingFailure", false, "ParsedGroupVersions", "All legacy kube types successfully parsed"},
        {"NamespaceDeletionContentFailure", failed, failed ? "ContentDeletionFailed" : "ContentDeleted",
         failed ? "Failed to delete all resource types: " + remains.failures
                : "All content successfully deleted, may be waiting on finalization"},
        {"NamespaceContentRemaining", content, content ? "SomeResourcesRemain" : "ContentRemoved",
         content ? "Some resources are remaining: " + told(remains.objects, " has ") : "All content successfully removed"},
        {"NamespaceFinalizersRemaining", finalizers, finalizers ? "SomeFinalizersRemain" : "ContentHasNoFinalizers",
         finalizers ? "Some content in the namespace has finalizers remaining: " + told(remains.finalizers, " in ")
                    : "All content-preserving finalizers finished"},
    };
  }

  /// Written only while something remains: a namespace that goes at once needs no conditions.
  Task<Result<void>> write_conditions(ObjectRef object, const Remains& remains) {
    if (remains.objects.empty() && remains.failures.empty()) co_return {};
    const auto& present = object.as<Namespace>().status.conditions;
    const std::vector<Condition> wanted = conditions_of(remains);
    bool changed = false;
    JsonWriter json;
    json.object().object("status").array("conditions");
    for (const Condition& condition : wanted) {
      const std::string_view status = condition.status ? "True" : "False";
      std::string since = format_rfc3339(wall_now());
      const auto was = std::find_if(present.begin(), present.end(), [&](const auto& c) { return c.type == condition.type; });
      if (was != present.end() && was->status == status) since = was->lastTransitionTime;
      changed |= was == present.end() || was->status != status || was->reason != condition.reason || was->message != condition.message;
      json.object().field("type", condition.type).field("status", status).field("lastTransitionTime", since);
      json.field("reason", condition.reason).field("message", condition.message).end();
    }
    json.end().end().end();
    if (!changed) co_return {};
    auto written = co_await client_.patch(client::namespaces, "", object.meta().name, client::PatchType::merge, json.take(),
                                          {.subresource = "status"});
    if (!written && written.error().code != Code::not_found)
      co_return std::unexpected(std::move(written.error().context("write the status of namespace " + object.meta().name)));
    co_return {};
  }

  Task<Result<void>> finalize(std::string name) {
    auto object = co_await client_.get(client::namespaces, "", name);
    if (!object) co_return object.error().code == Code::not_found ? Result<void>{} : std::unexpected(std::move(object.error()));
    json::Document document = CO_TRY(json::Document::parse(object->print()));
    if (json::Node* list = document.ensure_object(document.root(), "spec").find("finalizers"))
      for (uint32_t i = list->size(); i-- > 0;)
        if ((*list)[i].as_string() == own_finalizer) document.remove(*list, i);
    auto written = co_await client_.update(client::namespaces, "", name, json::print(document.root()), {.subresource = "finalize"});
    if (!written && written.error().code != Code::not_found)
      co_return std::unexpected(std::move(written.error().context("finalize namespace " + name)));
    co_return {};
  }

  client::Informer& namespaces_;
  client::Informer& pods_;
  client::Informer& definitions_;
  std::vector<ResourceKind> kinds_;
  std::map<std::string, Duration> waits_;  // before the next look, by namespace
};

}  // namespace

std::unique_ptr<Controller> make_namespace_controller(Context& context) { return std::make_unique<NamespaceController>(context); }

}  // namespace estiba::controllers
