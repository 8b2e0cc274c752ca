// Claims of devices (Dynamic Resource Allocation, KEPs 3063 and 4381): makes those that pods have by a template, reserves allocated ones
// for pods that came to a node without the scheduler, and takes back what pods no longer use. What is allocated and reserved for
// somebody is otherwise the scheduler's to say.
#include <algorithm>

#include "client/finalizers.h"
#include "client/json_writer.h"
#include "client/resource_claims.h"
#include "controllers/framework.h"
#include "controllers/owned.h"
#include "controllers/table.h"

namespace estiba::controllers {

using client::ClaimConsumer;
using client::PodClaim;
using model::ObjectRef;
using model::core_v1::Pod;

namespace {

bool has_claims(const ObjectRef& pod) {
  const Pod& typed = pod.as<Pod>();
  return !typed.spec.resourceClaims.empty() || typed.status.extendedResourceClaimStatus;
}

bool has_ended(const Pod& pod) { return pod.status.phase == "Succeeded" || pod.status.phase == "Failed"; }

/// It runs nowhere, and will not.
bool is_done(const ObjectRef& pod) {
  const Pod& typed = pod.as<Pod>();
  return has_ended(typed) || (!pod.meta().deletion_timestamp.empty() && typed.spec.nodeName.empty());
}

/// The names of all claims a pod has, as keys.
void add_claim_keys(const model::Meta& meta, const Pod& pod, std::vector<std::string>& keys) {
  for (const PodClaim& each : client::pod_claims(pod))
    if (!each.claim.empty()) keys.push_back(client::key_of(meta.ns, each.claim));
  if (const auto& extended = pod.status.extendedResourceClaimStatus) keys.push_back(client::key_of(meta.ns, extended->resourceClaimName));
}

/// "pod-entry-", cut in proportion so that five more characters make a name of 63 (resourceclaim.Controller.handleClaim).
std::string name_prefix(std::string_view pod, std::string_view entry) {
  constexpr size_t most = 57;
  const size_t whole = pod.size() + entry.size() + 2;
  if (whole <= most) return std::string(pod) + "-" + std::string(entry) + "-";
  return std::string(pod.substr(0, pod.size() * most / whole)) + "-" + std::string(entry.substr(0, entry.size() * most / whole));
}

class ResourceClaims final : public Controller {
 public:
  explicit ResourceClaims(Context& context)
      : Controller(context, "resource_claim", {.workers = 4}),
        pods_(informer(client::pods)),
        claims_(informer(client::resource_claims)),
        templates_(informer(client::resource_claim_templates)),
        pods_by_claim_(pods_.shared_index(
            "resource claims",
            [](const model::Object& pod, std::vector<std::string>& keys) { add_claim_keys(pod.meta(), pod.as<Pod>(), keys); })),
        pods_by_template_(pods_.shared_index("resource claim templates",
                                             [](const model::Object& pod, std::vector<std::string>& keys) {
                                               for (const auto& entry : pod.as<Pod>().spec.resourceClaims)
                                                 if (!entry.resourceClaimTemplateName.empty())
                                                   keys.push_back(client::key_of(pod.meta().ns, entry.resourceClaimTemplateName));
                                             })),
        claims_by_owner_(controller_index(claims_)) {
    pods_.on_change([this](const ObjectRef& before, const ObjectRef& after) { pod_changed(before, after); });
    claims_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      const std::string key = client::key_of(after ? after : before);
      if (after) enqueue("claim:" + key);
      pods_.each(pods_by_claim_, key, [&](const ObjectRef& pod) { pod_changed(pod, pod); });
    });
    templates_.on_change([this](const ObjectRef&, const ObjectRef& after) {
      if (after) pods_.each(pods_by_template_, client::key_of(after), [&](const ObjectRef& pod) { pod_changed(pod, pod); });
    });
  }

 private:
  void pod_changed(const ObjectRef& before, const ObjectRef& after) {
    const ObjectRef& pod = after ? after : before;
    if (!has_claims(pod)) return;
    if (!after || is_done(pod)) {
      std::vector<std::string> keys;
      add_claim_keys(pod.meta(), pod.as<Pod>(), keys);
      for (const std::string& key : keys) enqueue("claim:" + key);
    } else if (pod.meta().deletion_timestamp.empty()) {
      enqueue("pod:" + client::key_of(pod));
    }
  }

  Task<Result<void>> reconcile(std::string key) override {
    const size_t colon = key.find(':');
    const std::string name = key.substr(colon + 1);
    if (key.starts_with("pod:")) return sync_pod(name);
    return sync_claim(name);
  }

  // The claims that a pod is to have.
  Task<Result<void>> sync_pod(std::string key) {
    const ObjectRef pod = pods_.get(key);
    if (!pod || !pod.meta().deletion_timestamp.empty() || is_done(pod)) co_return {};
    std::vector<std::pair<std::string, std::string>> made;  // by entry
    for (const PodClaim& each : client::pod_claims(pod.as<Pod>())) {
      if (!each.made) continue;
      const ObjectRef there = each.claim.empty() ? ObjectRef{} : claims_.get(pod.meta().ns, each.claim);
      if (there && client::is_claim_for(there.meta(), pod.meta())) continue;
      auto name = co_await make(pod, each.entry);
      if (!name) {
        if (!is_namespace_ending(name.error()))
          events_.record(pod, client::EventType::warning, "FailedResourceClaimCreation",
                         "PodResourceClaim " + each.entry + ": " + name.error().message);
        co_return std::unexpected(std::move(name.error()).context("pod " + key + ", resource claim " + each.entry));
      }
      made.emplace_back(each.entry, std::move(*name));
    }
    if (!made.empty()) co_return co_await tell(pod, std::move(made));
    if (!pod.as<Pod>().spec.nodeName.empty()) co_return co_await reserve(pod);
    co_return {};
  }

  // Writes the claims' names to the pod's status; the change of the pod then leads on.
  Task<Result<void>> tell(ObjectRef pod, std::vector<std::pair<std::string, std::string>> made) {
    client::JsonWriter json;
    json.object().object("metadata").field("uid", pod.meta().uid).end().object("status").array("resourceClaimStatuses");
    for (const auto& [entry, claim] : made) json.object().field("name", entry).field("resourceClaimName", claim).end();
    json.end().end().end();
    auto written = co_await client_.patch(client::pods, pod.meta().ns, pod.meta().name, client::PatchType::strategic, json.take(),
                                          {.subresource = "status"});
    if (written) pods_.observe(*written);
    else if (written.error().code != Code::not_found)
      co_return std::unexpected(std::move(written.error()).context("write the resource claims of pod " + client::key_of(pod)));
    co_return {};
  }

  /// The name of the claim for an entry of the pod: one that was made before its name could be written, or a new one.
  Task<Result<std::string>> make(ObjectRef pod, std::string entry) {
    for (const ObjectRef& claim : claims_.find(claims_by_owner_, pod.meta().uid))
      if (claim.meta().annotation(client::pod_claim_annotation) == entry) co_return claim.meta().name;
    const auto& entries = pod.as<Pod>().spec.resourceClaims;
    const auto wanted = std::ranges::find(entries, entry, &model::core_v1::PodResourceClaim::name);
    const std::string& name = wanted->resourceClaimTemplateName;
    const ObjectRef source = templates_.get(pod.meta().ns, name);
    if (!source) co_return fail(Code::not_found, "resource claim template \"" + name + "\": not found");
    auto created = co_await client_.create(client::resource_claims, pod.meta().ns, claim_text(pod.meta(), entry, source));
    if (!created) co_return std::unexpected(std::move(created.error()).context("create ResourceClaim"));
    claims_.observe(*created);
    co_return created->meta().name;
  }

  static std::string claim_text(const model::Meta& pod, const std::string& entry, const ObjectRef& source) {
    const auto document = json::Document::parse(source.object->json());
    const json::Node* spec = document ? document->root().find("spec") : nullptr;
    client::JsonWriter json;
    json.object().field("apiVersion", "resource.k8s.io/v1").field("kind", "ResourceClaim").object("metadata");
    json.field("generateName", name_prefix(pod.name, entry)).field("namespace", pod.ns);
    const json::Node* labels = spec ? spec->at("metadata", "labels") : nullptr;
    if (labels) json.raw("labels", json::print(*labels));
    json.object("annotations");
    const json::Node* annotations = spec ? spec->at("metadata", "annotations") : nullptr;
    if (annotations)
      for (const json::Node& each : *annotations)
        if (each.key() != client::pod_claim_annotation) json.field(each.key(), each.as_string());
    json.field(client::pod_claim_annotation, entry).end().array("ownerReferences");
    write_controller_reference(json, pod);
    json.end().end();
    if (const json::Node* wanted = spec ? spec->find("spec") : nullptr) json.raw("spec", json::print(*wanted));
    json.end();
    return json.take();
  }

  // A pod that has a node but was not placed by the scheduler: what is allocated may still be reserved for it.
  Task<Result<void>> reserve(ObjectRef pod) {
    const model::Meta& meta = pod.meta();
    for (const PodClaim& each : client::pod_claims(pod.as<Pod>())) {
      const ObjectRef claim = claims_.get(meta.ns, each.claim);
      if (!claim || !claim.meta().deletion_timestamp.empty()) continue;
      if (each.made && !client::is_claim_for(claim.meta(), meta)) co_return fail(Code::conflict, client::not_for_pod(claim.meta(), meta));
      client::ClaimUse use = client::claim_use(claim);
      if (!use.allocated || use.is_reserved_for(meta.uid) || !use.can_be_reserved()) continue;
      use.reserved_for.push_back({"", "pods", meta.name, meta.uid});
      CO_TRY_AS("reserve ResourceClaim " + client::key_of(claim) + " for pod " + meta.name,
                co_await patch_status(claims_, claim, client::consumers_patch(claim, use.reserved_for, false)));
    }
    co_return {};
  }

  // What nobody uses is given back; what was made for a pod that is done goes.
  Task<Result<void>> sync_claim(std::string key) {
    ObjectRef claim = claims_.get(key);
    if (!claim) co_return {};
    const client::ClaimUse use = client::claim_use(claim);
    std::vector<ClaimConsumer> remaining;
    for (const ClaimConsumer& each : use.reserved_for)
      if (CO_TRY(co_await still_uses(claim.meta().ns, each))) remaining.push_back(each);
    const bool held = client::has_finalizer(claim.meta(), client::claim_finalizer);
    const bool ending = !claim.meta().deletion_timestamp.empty();
    const bool give_back = held && use.allocated && remaining.empty() && (ending || !use.reserved_for.empty());
    if (remaining.size() < use.reserved_for.size() || give_back) {
      CO_TRY(co_await patch_status(claims_, claim, client::consumers_patch(claim, remaining, give_back)));
      claim = claims_.get(key);
      if (!claim) co_return {};
    }
    if (held && remaining.empty() && (give_back || !use.allocated) && (ending || !use.reserved_for.empty())) {
      auto written = co_await client_.patch(client::resource_claims, claim.meta().ns, claim.meta().name, client::PatchType::merge,
                                            client::finalizer_patch(claim, client::claim_finalizer, false));
      if (written) claims_.observe(*written);
      else if (written.error().code != Code::not_found)
        co_return std::unexpected(std::move(written.error()).context("take the finalizer off ResourceClaim " + key));
    }
    if (remaining.empty() && !ending) co_return co_await remove_if_done(claim);
    co_return {};
  }

  Task<Result<bool>> still_uses(std::string ns, ClaimConsumer consumer) {
    if (!consumer.group.empty() || consumer.resource != "pods") co_return true;  // not ours to judge
    ObjectRef pod = pods_.get(ns, consumer.name);
    if (!pod) {
      // The scheduler may know of a pod before this informer does.
      auto asked = co_await client_.get(client::pods, ns, consumer.name);
      if (!asked && asked.error().code != Code::not_found) co_return std::unexpected(std::move(asked.error()));
      if (asked) pod = *asked;
    }
    co_return pod&& pod.meta().uid == consumer.uid && !is_done(pod);
  }

  // The garbage collector waits for the pod to go; its devices are free as soon as it is done.
  Task<Result<void>> remove_if_done(ObjectRef claim) {
    const model::Owner* owner = claim.meta().controller();
    if (!owner || owner->kind != "Pod" || owner->api_version != "v1") co_return {};
    const ObjectRef pod = pods_.get(claim.meta().ns, owner->name);
    if (!pod || (pod.meta().uid == owner->uid && !is_done(pod))) co_return {};
    auto removed = co_await client_.remove(client::resource_claims, claim.meta().ns, claim.meta().name, {.uid = claim.meta().uid});
    if (!removed && removed.error().code != Code::not_found)
      co_return std::unexpected(std::move(removed.error()).context("delete unused generated claim " + client::key_of(claim)));
    co_return {};
  }

  client::Informer& pods_;
  client::Informer& claims_;
  client::Informer& templates_;
  const client::Informer::Index pods_by_claim_, pods_by_template_, claims_by_owner_;
};

}  // namespace

std::unique_ptr<Controller> make_resource_claim_controller(Context& context) { return std::make_unique<ResourceClaims>(context); }

}  // namespace estiba::controllers
