#include "server/local_client.h"

#include "apiserver/api_errors.h"
#include "apiserver/special/special.h"

namespace estiba::server {
namespace {

using apiserver::Action;
using apiserver::Verb;
using client::Resource;

class LocalWatch final : public client::WatchStream {
 public:
  explicit LocalWatch(std::unique_ptr<apiserver::Watcher> watcher) : watcher_(std::move(watcher)) {}

  Task<Result<std::vector<client::WatchEvent>>> next() override {
    auto items = CO_TRY(co_await watcher_->next());
    if (items.empty()) co_return fail(Code::unavailable, "the watch has ended: its resource is defined anew");
    std::vector<client::WatchEvent> out;
    out.reserve(items.size());
    for (apiserver::WatchItem& item : items) {
      client::WatchEvent event{kind_of(item.kind), std::move(item.object)};
      event.object.revision = item.revision;
      out.push_back(std::move(event));
    }
    co_return out;
  }

 private:
  static client::WatchEvent::Kind kind_of(apiserver::WatchItem::Kind kind) {
    switch (kind) {
      case apiserver::WatchItem::Kind::added: return client::WatchEvent::Kind::added;
      case apiserver::WatchItem::Kind::modified: return client::WatchEvent::Kind::modified;
      case apiserver::WatchItem::Kind::removed: return client::WatchEvent::Kind::removed;
      case apiserver::WatchItem::Kind::bookmark: break;
    }
    return client::WatchEvent::Kind::bookmark;
  }

  std::unique_ptr<apiserver::Watcher> watcher_;
};

class LocalClient final : public client::Client {
 public:
  LocalClient(apiserver::Api& api, std::string user_name)
      : api_(api), component_(component_of(user_name)), user_{std::move(user_name), {}, {"system:masters", "system:authenticated"}, {}} {}

  Task<Result<model::ObjectRef>> get(Resource resource, std::string ns, std::string name) override {
    Action action = CO_TRY(make(Verb::get, resource, std::move(ns), std::move(name)));
    CO_TRY(co_await api_.refresh(action));
    co_return api_.registry().get(action);
  }

  Task<Result<client::List>> list(Resource resource, std::string ns, client::ListOptions options) override {
    Action action = CO_TRY(make(Verb::list, resource, std::move(ns), {}));
    select(action, options);
    if (apiserver::special_action(action)) co_return items_of(CO_TRY(co_await api_.run(std::move(action))));
    CO_TRY(co_await api_.refresh(action));
    apiserver::Page page = CO_TRY(api_.registry().list(action));
    co_return client::List{std::move(page.items), page.revision};
  }

  Task<Result<std::unique_ptr<client::WatchStream>>> watch(Resource resource, std::string ns, int64_t revision,
                                                           client::ListOptions options) override {
    Action action = CO_TRY(make(Verb::watch, resource, std::move(ns), {}));
    select(action, options);
    action.list.resource_version = std::to_string(revision);
    CO_TRY(co_await api_.refresh(action));
    auto watcher = CO_TRY(api_.registry().watch(action));
    co_return std::make_unique<LocalWatch>(std::move(watcher));
  }

  Task<Result<model::ObjectRef>> create(Resource resource, std::string ns, std::string body, client::WriteOptions options) override {
    Action action = CO_TRY(make(Verb::create, resource, std::move(ns), {}));
    co_return object_of(co_await api_.run(with_body(std::move(action), std::move(body), std::move(options))));
  }

  Task<Result<model::ObjectRef>> update(Resource resource, std::string ns, std::string name, std::string body,
                                        client::WriteOptions options) override {
    Action action = CO_TRY(make(Verb::update, resource, std::move(ns), std::move(name)));
    co_return object_of(co_await api_.run(with_body(std::move(action), std::move(body), std::move(options))));
  }

  Task<Result<model::ObjectRef>> patch(Resource resource, std::string ns, std::string name, client::PatchType type, std::string body,
                                       client::WriteOptions options) override {
    Action action = CO_TRY(make(Verb::patch, resource, std::move(ns), std::move(name)));
    action = with_body(std::move(action), std::move(body), std::move(options));
    switch (type) {
      case client::PatchType::json: action.body_type = apiserver::BodyType::json_patch; break;
      case client::PatchType::merge: action.body_type = apiserver::BodyType::merge_patch; break;
      case client::PatchType::strategic: action.body_type = apiserver::BodyType::strategic_patch; break;
    }
    co_return object_of(co_await api_.run(std::move(action)));
  }

  Task<Result<void>> remove(Resource resource, std::string ns, std::string name, client::DeleteOptions options) override {
    Action action = CO_TRY(make(Verb::remove, resource, std::move(ns), std::move(name)));
    action.remove.grace_seconds = options.grace_seconds;
    action.remove.propagation = std::move(options.propagation);
    action.remove.uid = std::move(options.uid);
    action.remove.resource_version = std::move(options.resource_version);
    CO_TRY(co_await api_.run(std::move(action)));
    co_return {};
  }

  Task<Result<std::string>> call(Resource resource, std::string ns, std::string name, std::string subresource, std::string body) override {
    Action action = CO_TRY(make(Verb::create, resource, std::move(ns), std::move(name)));
    action.subresource = std::move(subresource);
    action.body_type = apiserver::BodyType::json;
    action.body = std::move(body);
    auto outcome = CO_TRY(co_await api_.run(std::move(action)));
    co_return outcome.object ? outcome.object.print() : std::move(outcome.json);
  }

 private:
  // As managedFields name who wrote: kube-controller-manager, kube-scheduler, kubelet.
  static std::string component_of(std::string_view user_name) {
    if (user_name.starts_with("system:node:")) return "kubelet";
    if (user_name.starts_with("system:")) user_name.remove_prefix(7);
    return std::string(user_name);
  }

  Result<Action> make(Verb verb, Resource resource, std::string ns, std::string name) const {
    Action action;
    action.verb = verb;
    model::ResourceRef found = api_.cluster().find_resource(resource.group, resource.version, resource.name, true);
    action.resource = found.resource;
    action.tables = std::move(found.definition);
    if (!action.resource)
      return fail(Code::not_found, "the server has no resource " + std::string(resource.name) + " in " + std::string(resource.group) + "/" +
                                       std::string(resource.version));
    action.ns = std::move(ns);
    action.name = std::move(name);
    action.user = user_;
    action.write.user_agent = component_;
    return action;
  }

  static void select(Action& action, client::ListOptions& options) {
    action.list.label_selector = std::move(options.label_selector);
    action.list.field_selector = std::move(options.field_selector);
  }

  static Action with_body(Action action, std::string body, client::WriteOptions options) {
    action.body_type = apiserver::BodyType::json;
    action.body = std::move(body);
    action.subresource = std::move(options.subresource);
    action.write.field_manager = std::move(options.field_manager);
    // Components are built with the same tables: what they send and the server does not know is a mistake of theirs.
    action.write.validation = apiserver::FieldValidation::strict;
    return action;
  }

  // Of a list that nothing stores.
  static Result<client::List> items_of(const apiserver::Outcome& outcome) {
    const json::Document doc = TRY(json::Document::parse(outcome.json));
    client::List list;
    if (const json::Node* items = doc.root().find("items"))
      for (const json::Node& item : *items) list.items.push_back({TRY(model::Object::make(item)), 0});
    return list;
  }

  static Result<model::ObjectRef> object_of(Result<apiserver::Outcome> outcome) {
    if (!outcome) return std::unexpected(std::move(outcome.error()));
    if (outcome->object) return std::move(outcome->object);
    auto parsed = TRY(model::Object::parse(outcome->json));
    return model::ObjectRef{std::move(parsed), 0};
  }

  apiserver::Api& api_;
  std::string component_;
  apiserver::User user_;
};

}  // namespace

std::unique_ptr<client::Client> make_local_client(apiserver::Api& api, std::string user_name) {
  return std::make_unique<LocalClient>(api, std::move(user_name));
}

}  // namespace estiba::server
