// CustomResourceDefinition: when one is deleted, deletes its objects and then lets it go; and has those whose names were
// taken looked at again when others of their group change. Names are accepted, and definitions established, by the API
// server as they are written.
#include <algorithm>
#include <map>

#include "base/time.h"
#include "client/finalizers.h"
#include "client/json_writer.h"
#include "controllers/framework.h"
#include "controllers/kinds.h"
#include "controllers/table.h"
#include "model/custom/definition.h"

namespace estiba::controllers {

using client::JsonWriter;
using model::CustomDefinition;
using model::CustomDefinitionPtr;
using model::ObjectRef;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view cleanup_finalizer = "customresourcecleanup.apiextensions.k8s.io";

class CustomResourceController final : public Controller {
 public:
  explicit CustomResourceController(Context& context)
      : Controller(context, "custom-resource-definition-controller", {.workers = 4}), definitions_(watch(custom_resource_definitions)) {
    definitions_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      // Who gives up names may free them for others.
      if (before) look_again_at_others(after ? after : before);
    });
  }

 private:
  static std::string_view group_of(std::string_view name) {
    const size_t dot = name.find('.');
    return dot == std::string_view::npos ? std::string_view{} : name.substr(dot + 1);
  }

  void look_again_at_others(const ObjectRef& changed) {
    definitions_.each([&](const ObjectRef& other) {
      if (other.meta().name == changed.meta().name || group_of(other.meta().name) != group_of(changed.meta().name)) return;
      auto doc = json::Document::parse(other.object->json());
      if (doc && !model::has_condition(doc->root(), "NamesAccepted")) enqueue(other);
    });
  }

  Task<Result<void>> reconcile(std::string name) override {
    const ObjectRef object = definitions_.get(name);
    if (!object) {
      waits_.erase(name);
      co_return {};
    }
    const model::Meta& meta = object.meta();
    if (meta.deletion_timestamp.empty()) co_return co_await check_names(object);
    if (!client::has_finalizer(meta, cleanup_finalizer)) co_return {};
    co_return co_await clean_up(object);
  }

  /// A write that changes nothing has the API server work out the names again.
  Task<Result<void>> check_names(ObjectRef object) {
    const json::Document doc = CO_TRY(json::Document::parse(object.object->json()));
    if (model::has_condition(doc.root(), "NamesAccepted")) co_return {};
    auto written = co_await client_.patch(custom_resource_definitions, "", object.meta().name, client::PatchType::merge, "{}");
    if (!written && written.error().code != Code::not_found) co_return std::unexpected(std::move(written.error()));
    co_return {};
  }

  Task<Result<void>> clean_up(ObjectRef object) {
    const CustomDefinitionPtr definition = CO_TRY(CustomDefinition::make(object.object->json()));
    const model::schema::Resource& row = definition->storage().resource;
    const client::Resource resource{row.group, row.version, row.plural};
    if (definition->established()) {
      auto list = co_await client_.list(resource, "");
      if (!list && list.error().code != Code::not_found) co_return std::unexpected(std::move(list.error()));
      if (list && !list->items.empty()) co_return co_await remove_all(definition, object, std::move(list->items));
    }
    waits_.erase(object.meta().name);
    co_return co_await let_go(object);
  }

  Task<Result<void>> remove_all(CustomDefinitionPtr definition, ObjectRef object, std::vector<ObjectRef> items) {
    const model::schema::Resource& row = definition->storage().resource;
    const client::Resource resource{row.group, row.version, row.plural};
    for (const ObjectRef& item : items) {
      if (!item.meta().deletion_timestamp.empty()) continue;
      auto removed =
          co_await client_.remove(resource, item.meta().ns, item.meta().name, {.propagation = "Background", .uid = item.meta().uid});
      if (!removed && removed.error().code != Code::not_found && removed.error().code != Code::conflict)
        co_return std::unexpected(std::move(removed.error().context("delete " + client::key_of(item))));
    }
    auto left = CO_TRY(co_await client_.list(resource, ""));
    if (left.items.empty()) co_return co_await let_go(object);
    // What has finalizers of its own gives no sign that we watch for: look again, less and less often.
    CO_TRY(co_await tell(object, "InstanceDeletionInProgress", "CustomResource deletion is in progress"));
    Duration& wait = waits_.try_emplace(object.meta().name, 50ms).first->second;
    enqueue_after(object.meta().name, wait);
    wait = std::min<Duration>(wait * 2, 5s);
    co_return {};
  }

  Task<Result<void>> tell(ObjectRef object, std::string reason, std::string message) {
    const json::Document doc = CO_TRY(json::Document::parse(object.object->json()));
    const json::Node* conditions = doc.root().at("status", "conditions");
    JsonWriter json;
    json.object().object("status").array("conditions");
    bool same = false;
    if (conditions) {
      for (const json::Node& condition : *conditions) {
        const bool ours = condition.string_at("type") == "Terminating";
        same |= ours && condition.string_at("reason") == reason;
        json.object().field("type", condition.string_at("type")).field("status", condition.string_at("status"));
        json.field("lastTransitionTime", condition.string_at("lastTransitionTime"));
        json.field("reason", ours ? std::string_view(reason) : condition.string_at("reason"));
        json.field("message", ours ? std::string_view(message) : condition.string_at("message")).end();
      }
    }
    json.end().end().end();
    if (same) co_return {};
    auto written = co_await client_.patch(custom_resource_definitions, "", object.meta().name, client::PatchType::merge, json.take(),
                                          {.subresource = "status"});
    if (!written && written.error().code != Code::not_found && written.error().code != Code::conflict)
      co_return std::unexpected(std::move(written.error()));
    co_return {};
  }

  Task<Result<void>> let_go(ObjectRef object) {
    auto written = co_await client_.patch(custom_resource_definitions, "", object.meta().name, client::PatchType::merge,
                                          client::finalizer_patch(object, cleanup_finalizer, false));
    if (!written && written.error().code != Code::not_found && written.error().code != Code::conflict)
      co_return std::unexpected(std::move(written.error().context("let definition " + object.meta().name + " go")));
    co_return {};
  }

  client::Informer& definitions_;
  std::map<std::string, Duration> waits_;  // before the next look, by name
};

}  // namespace

std::unique_ptr<Controller> make_custom_resource_controller(Context& context) {
  return std::make_unique<CustomResourceController>(context);
}

}  // namespace estiba::controllers
