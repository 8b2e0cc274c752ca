#include "client/resource_claims.h"

#include <algorithm>

#include "client/json_writer.h"

namespace estiba::client {

std::vector<PodClaim> pod_claims(const model::core_v1::Pod& pod) {
  std::vector<PodClaim> out;
  for (const auto& entry : pod.spec.resourceClaims) {
    if (!entry.resourceClaimName.empty()) {
      out.push_back({entry.name, entry.resourceClaimName});
      continue;
    }
    if (entry.resourceClaimTemplateName.empty()) continue;
    const auto& statuses = pod.status.resourceClaimStatuses;
    const auto told = std::ranges::find(statuses, entry.name, &model::core_v1::PodResourceClaimStatus::name);
    if (told == statuses.end()) out.push_back({entry.name, {}, true, true});
    else if (!told->resourceClaimName.empty()) out.push_back({entry.name, told->resourceClaimName, true});
  }
  return out;
}

bool is_claim_for(const model::Meta& claim, const model::Meta& pod) {
  const model::Owner* owner = claim.controller();
  return claim.ns == pod.ns && owner && owner->uid == pod.uid;
}

std::string not_for_pod(const model::Meta& claim, const model::Meta& pod) {
  return "ResourceClaim " + claim.ns + "/" + claim.name + " was not created for pod " + pod.ns + "/" + pod.name + " (pod is not owner)";
}

bool ClaimUse::is_reserved_for(std::string_view pod_uid) const { return std::ranges::contains(reserved_for, pod_uid, &ClaimConsumer::uid); }

ClaimUse claim_use(const model::ObjectRef& claim) {
  ClaimUse use;
  const auto document = json::Document::parse(claim.object->json());
  const json::Node* status = document ? document->root().find("status") : nullptr;
  if (!status) return use;
  const json::Node* allocation = status->find("allocation");
  use.allocated = allocation && !allocation->is_null();
  if (const json::Node* consumers = status->find("reservedFor"))
    for (const json::Node& each : *consumers)
      use.reserved_for.push_back({std::string(each.string_at("apiGroup")), std::string(each.string_at("resource")),
                                  std::string(each.string_at("name")), std::string(each.string_at("uid"))});
  return use;
}

std::string consumers_patch(const model::ObjectRef& claim, const std::vector<ClaimConsumer>& consumers, bool deallocated) {
  JsonWriter json;
  json.object().object("metadata").field("uid", claim.meta().uid).field("resourceVersion", claim.resource_version()).end();
  json.object("status");
  if (consumers.empty()) {
    json.null("reservedFor");
  } else {
    json.array("reservedFor");
    for (const ClaimConsumer& each : consumers)
      json.object().optional("apiGroup", each.group).field("resource", each.resource).field("name", each.name).field("uid", each.uid).end();
    json.end();
  }
  if (deallocated) json.null("allocation").null("devices");
  json.end().end();
  return json.take();
}

}  // namespace estiba::client
