#include "controllers/framework.h"

namespace estiba::controllers {

Controller::Controller(Context& context, std::string name, client::WorkQueueOptions queue)
    : context_(context),
      client_(context.client),
      events_(context.client, context.executor, name),
      name_(std::move(name)),
      queue_(context.executor, name_, [this](std::string key) { return attempt(this, std::move(key)); }, queue) {}

bool is_namespace_ending(const Error& error) {
  if (error.code != Code::forbidden || !error.details) return false;
  const auto& causes = error.details->causes;
  return std::any_of(causes.begin(), causes.end(), [](const FieldCause& cause) { return cause.reason == "NamespaceTerminating"; });
}

// Trying again would only fill the log.
Task<Result<void>> Controller::attempt(Controller* self, std::string key) {
  auto done = co_await self->reconcile(std::move(key));
  if (!done && is_namespace_ending(done.error())) co_return {};
  co_return done;
}

void Controller::enqueue_controllers(const model::ObjectRef& before, const model::ObjectRef& after, std::string_view kind) {
  for (const model::ObjectRef* object : {&before, &after}) {
    const model::Owner* owner = *object ? object->meta().controller() : nullptr;
    if (owner && owner->kind == kind) enqueue(client::key_of(object->meta().ns, owner->name));
  }
}

void Controller::enqueue_owners(const model::ObjectRef& before, const model::ObjectRef& after, std::string_view kind,
                                client::Informer& owners, client::Informer::Index by_namespace,
                                UniqueFunction<bool(const model::ObjectRef& owner)> selects) {
  enqueue_controllers(before, after, kind);
  if (!after || after.meta().controller() || !after.meta().deletion_timestamp.empty()) return;
  owners.each(by_namespace, after.meta().ns, [&](const model::ObjectRef& owner) {
    if (selects(owner)) enqueue(owner);
  });
}

client::Informer& Controller::informer(client::Resource resource) {
  client::Informer& informer = context_.informers.of(resource);
  if (std::find(needs_.begin(), needs_.end(), &informer) == needs_.end()) needs_.push_back(&informer);
  return informer;
}

client::Informer& Controller::watch(client::Resource resource) {
  client::Informer& own = informer(resource);
  own.on_change([this](const model::ObjectRef& before, const model::ObjectRef& after) { enqueue(after ? after : before); });
  return own;
}

Task<Result<void>> Controller::patch_status(client::Informer& own, model::ObjectRef object, std::string patch) {
  const model::Meta& meta = object.meta();
  auto written =
      co_await client_.patch(own.resource(), meta.ns, meta.name, client::PatchType::merge, std::move(patch), {.subresource = "status"});
  if (written) own.observe(*written);
  else if (written.error().code == Code::not_found) own.observe_gone(object);
  else co_return std::unexpected(std::move(written.error()).context("write the status of " + meta.kind + " " + client::key_of(meta)));
  co_return {};
}

void Controller::start() { starting_ = Job(run(this)); }

Task<void> Controller::run(Controller* self) {
  for (client::Informer* informer : self->needs_) co_await informer->wait_synced();
  self->queue_.start();
}

}  // namespace estiba::controllers
