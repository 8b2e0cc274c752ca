#include <algorithm>

#include "scheduler/devices/devices.h"

namespace estiba::scheduler::devices {

PodDevices::PodDevices(const Devices& devices, Stock& stock, const Demand& pod) : pod_(pod.pod) {
  for (const client::PodClaim& each : client::pod_claims(pod.typed()))
    if (refusal_.empty()) add(devices, each, pod);
  std::vector<ClaimPtr> open;
  for (const ClaimPtr& claim : claims_) {
    if (!refusal_.empty()) return;
    if (claim->allocated()) {
      if (!claim->use.can_be_reserved() && !claim->use.is_reserved_for(pod.pod.meta().uid)) refusal_ = "resourceclaim in use";
      continue;
    }
    if (devices.is_pending(claim->meta().uid))
      refusal_ = "resource claim " + claim->meta().ns + "/" + claim->meta().name + " is in the process of being allocated";
    else refusal_ = unknown_class(*claim, stock);
    alternatives_ |= std::ranges::any_of(claim->requests, &Request::alternatives);
    open.push_back(claim);
  }
  missed_.resize(claims_.size());
  if (refusal_.empty() && !open.empty()) allocator_ = std::make_unique<Allocator>(stock, std::move(open));
}

void PodDevices::add(const Devices& devices, const client::PodClaim& each, const Demand& pod) {
  if (each.pending) {
    refusal_ = "waiting for resource claim of pod claim \"" + each.entry + "\" to be created";
    return;
  }
  const model::Meta& meta = pod.pod.meta();
  const ClaimPtr claim = devices.claim(client::key_of(meta.ns, each.claim));
  if (!claim) {
    refusal_ = "resourceclaim.resource.k8s.io \"" + each.claim + "\" not found";
  } else if (!claim->meta().deletion_timestamp.empty()) {
    refusal_ = "resourceclaim \"" + each.claim + "\" is being deleted";
  } else if (each.made && !client::is_claim_for(claim->meta(), meta)) {
    refusal_ = client::not_for_pod(claim->meta(), meta);
  } else if (!std::ranges::contains(claims_, claim)) {
    claims_.push_back(claim);
  }
}

std::string PodDevices::unknown_class(const Claim& claim, const Stock& stock) const {
  for (const Request& request : claim.requests) {
    if (request.wishes.empty())
      return "resource claim " + claim.meta().ns + "/" + claim.meta().name + ", request " + request.name + ": unknown request type";
    for (const Wish& wish : request.wishes)
      if (!stock.classes.contains(wish.device_class))
        return "request " + wish.name + ": device class " + wish.device_class + " does not exist";
  }
  return {};
}

const PodDevices::AtNode& PodDevices::at(const NodeState& node) const {
  AtNode& known = nodes_[node.name];
  if (!known.node || known.node != node.node.object) known = look(node);
  return known;
}

PodDevices::AtNode PodDevices::look(const NodeState& node) const {
  bool reached = true;
  for (size_t i = 0; i < claims_.size(); ++i) {
    const Claim& claim = *claims_[i];
    // Devices that were to be made ready for a node and cannot be are to be given back.
    if (claim.allocated() && (!claim.reaches(node) || !claim.binding.failure.empty())) {
      missed_[i] = true;
      reached = false;
    }
  }
  if (!reached) return {node.node.object, "resourceclaim not available on the node", {}};
  if (!allocator_) return {node.node.object, {}, {}};
  auto found = allocator_->allocate(node);
  if (!found) return {node.node.object, found.error().message, {}};
  if (!*found) return {node.node.object, "cannot allocate all claims", {}};
  return {node.node.object, {}, std::move(**found)};
}

const std::string& PodDevices::misses(const NodeState& node) const { return at(node).misses; }

int64_t PodDevices::score(const NodeState& node) const {
  constexpr int64_t most_alternatives = 8;  // FirstAvailableDeviceRequestMaxSize
  const AtNode& there = at(node);
  if (!there.misses.empty()) return 0;
  int64_t score = 0;
  size_t open = 0;
  for (const ClaimPtr& claim : claims_) {
    const Allocation* allocation = claim->allocated() ? nullptr : &there.allocations[open++];
    for (size_t i = 0; i < claim->requests.size(); ++i) {
      const Request& request = claim->requests[i];
      if (!request.alternatives) continue;
      for (size_t k = 0; k < request.wishes.size(); ++k)
        if (allocation ? allocation->chosen[i] == k : std::ranges::contains(claim->chosen, request.wishes[k].name))
          score += most_alternatives - int64_t(k);
    }
  }
  return score;
}

DevicePlan PodDevices::plan(const NodeState& node, std::string_view now) const {
  DevicePlan plan;
  const AtNode& there = at(node);
  size_t open = 0;
  for (const ClaimPtr& claim : claims_) {
    DevicePlan::Entry& entry = plan.entries.emplace_back();
    entry.claim = claim;
    if (claim->allocated()) continue;
    const Allocation& allocation = there.allocations[open++];
    entry.allocation = allocation_text(*claim, allocation, node.name, now);
    entry.uses = allocation.uses();
  }
  return plan;
}

std::vector<ClaimPtr> PodDevices::in_the_way() const {
  std::vector<ClaimPtr> out;
  for (size_t i = 0; i < claims_.size(); ++i) {
    const auto& users = claims_[i]->use.reserved_for;
    if (missed_[i] && (users.empty() || (users.size() == 1 && users[0].uid == pod_.meta().uid))) out.push_back(claims_[i]);
  }
  return out;
}

}  // namespace estiba::scheduler::devices
