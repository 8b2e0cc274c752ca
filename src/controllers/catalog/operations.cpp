#include "controllers/catalog/operations.h"

#include "base/time.h"
#include "client/backoff.h"
#include "client/finalizers.h"

namespace estiba::controllers::catalog {

using client::EventType;
using model::ObjectRef;
using namespace std::chrono_literals;

OperationController::OperationController(Context& context, std::string name, client::Resource own)
    : Controller(context, std::move(name), {.workers = 8, .first_pause = 1s, .longest_pause = 10min}),
      own_(informer(own)),
      offers_(context),
      access_(context),
      namespaces_(informer(client::namespaces)) {
  for (const Scope* scope : {&cluster_scope, &namespaced_scope})
    for (client::Resource resource : {scope->brokers, scope->classes, scope->plans})
      informer(resource).on_change([this](const ObjectRef& before, const ObjectRef&) {
        if (!before) wake();
      });
  informer(client::services);
  own_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
    // A deletion does not wait for what could not be made.
    if (before && after && before.meta().deletion_timestamp != after.meta().deletion_timestamp) forget_failures(client::key_of(after));
    // What this controller itself writes is the status.
    if (!before || !after || before.meta().generation != after.meta().generation ||
        before.meta().deletion_timestamp != after.meta().deletion_timestamp || before.meta().finalizers != after.meta().finalizers)
      enqueue(after ? after : before);
  });
}

Task<Result<void>> OperationController::reconcile(std::string key) {
  const ObjectRef object = own_.get(key);
  if (!object || (!object.meta().deletion_timestamp.empty() && !client::has_finalizer(object.meta(), finalizer))) {
    retries_.erase(key);
    co_return {};
  }
  Edited edited = CO_TRY(Edited::of(object));
  auto done = co_await step(key, &edited);
  if (!done && done.error().code == Code::conflict) {
    enqueue_after(key, 50ms);
    co_return {};
  }
  if (!done && done.error().code == Code::not_found && !own_.get(key)) co_return {};
  co_return done;
}

bool OperationController::must_wait(const std::string& key, const Edited& edited) {
  auto found = retries_.find(key);
  if (found == retries_.end()) return false;
  if (found->second.generation != edited.meta().generation) {
    retries_.erase(found);
    return false;
  }
  const Instant now = context_.executor.now();
  if (now >= found->second.not_before) return false;
  enqueue_after(key, found->second.not_before - now);
  return true;
}

void OperationController::retry_later(const std::string& key, const Edited& edited) {
  Retry& retry = retries_[key];
  const Duration wait = client::Backoff::delay(1s, 10min, retry.failures++);
  retry.generation = edited.meta().generation;
  retry.not_before = context_.executor.now() + wait;
  enqueue_after(key, wait);
}

void OperationController::wake() {
  for (auto& [key, retry] : retries_) {
    retry.not_before = {};
    enqueue(key);
  }
}

void OperationController::poll_later(const std::string& key, int64_t retry_after) {
  constexpr int64_t longest = 3600;
  Retry& retry = retries_[key];
  const Duration own = client::Backoff::delay(1s, 1min, retry.polls++);
  enqueue_after(key, retry_after > 0 ? std::chrono::seconds(std::min(retry_after, longest)) : own);
}

bool OperationController::out_of_time(const Edited& edited, Duration limit) const {
  const auto began = parse_rfc3339(edited.text("operationStartTime"));
  return began && wall_now() - *began > limit;
}

void OperationController::begin(Edited* edited, std::string_view operation, std::string_view reason, std::string_view message) {
  edited->set("currentOperation", operation);
  if (edited->text("operationStartTime").empty()) edited->set("operationStartTime", format_rfc3339(wall_now()));
  ready(edited, "False", reason, message);
}

void OperationController::end(Edited* edited) {
  edited->set_flag("asyncOpInProgress", false);
  for (std::string_view field : {"currentOperation", "operationStartTime", "lastOperation", "inProgressProperties"}) edited->clear(field);
}

Task<Result<void>> OperationController::hindered(std::string key, Edited* edited, std::string reason, std::string message) {
  ready(edited, "False", reason, message);
  tell(*edited, EventType::warning, reason, message);
  // What was begun by a server that has ended is not under way any more: the spec may be put right.
  if (edited->meta().deletion_timestamp.empty() && !edited->flag("orphanMitigationInProgress")) edited->clear("currentOperation");
  CO_TRY(co_await save(edited));
  retry_later(key, *edited);
  co_return {};
}

Task<Result<void>> OperationController::let_go(Edited* edited) {
  const model::Meta& meta = edited->meta();
  auto written = co_await client_.patch(own_.resource(), meta.ns, meta.name, client::PatchType::merge,
                                        client::finalizer_patch(edited->object(), finalizer, false));
  if (!written && written.error().code != Code::not_found) co_return std::unexpected(std::move(written.error()));
  co_return {};
}

std::string OperationController::cluster_id() const { return namespace_id("kube-system"); }

std::string OperationController::namespace_id(std::string_view ns) const {
  const ObjectRef object = namespaces_.get(ns);
  return object ? object.meta().uid : std::string();
}

void OperationController::write_context(client::JsonWriter& json, const Edited& edited, std::string_view instance) const {
  json.object("context").field("platform", "kubernetes").field("namespace", edited.meta().ns).field("clusterid", cluster_id());
  json.field("instance_name", instance).end();
}

Task<void> OperationController::list_again(const Offer* offer) {
  const ObjectRef broker = offer->broker;
  auto doc = json::Document::parse(broker.object->json());
  const json::Node* requests = doc ? doc->root().at("spec", "relistRequests") : nullptr;
  const std::string patch = R"({"spec":{"relistRequests":)" + std::to_string((requests ? requests->as_int().value_or(0) : 0) + 1) + "}}";
  (void)co_await client_.patch(offer->scope->brokers, broker.meta().ns, broker.meta().name, client::PatchType::merge, patch);
}

}  // namespace estiba::controllers::catalog
