// Claims of devices (Dynamic Resource Allocation, KEP 4381): what controllers, the scheduler and the node ask of them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "client/client.h"
#include "model/types/core_v1.h"

namespace estiba::client {

inline constexpr Resource resource_claims{"resource.k8s.io", "v1", "resourceclaims"};
inline constexpr Resource resource_claim_templates{"resource.k8s.io", "v1", "resourceclaimtemplates"};
inline constexpr Resource resource_slices{"resource.k8s.io", "v1", "resourceslices"};
inline constexpr Resource device_classes{"resource.k8s.io", "v1", "deviceclasses"};

/// Keeps an allocated claim until its devices are given back.
inline constexpr std::string_view claim_finalizer = "resource.kubernetes.io/delete-protection";
/// On a claim made for a pod: the entry of the pod's spec.resourceClaims that it was made for.
inline constexpr std::string_view pod_claim_annotation = "resource.kubernetes.io/pod-claim-name";

/// An entry of a pod's spec.resourceClaims with the claim that stands for it.
struct PodClaim {
  std::string entry;
  std::string claim;     ///< the ResourceClaim's name; empty while it is not made, and when none is needed
  bool made = false;     ///< from a template, so that the pod must own it
  bool pending = false;  ///< from a template, and not made yet
};
/// All of a pod, but those that its status says are not needed.
std::vector<PodClaim> pod_claims(const model::core_v1::Pod& pod);
/// Whether the claim was made for the pod: it is its controller.
bool is_claim_for(const model::Meta& claim, const model::Meta& pod);
/// What is wrong where it is not, as Kubernetes says it.
std::string not_for_pod(const model::Meta& claim, const model::Meta& pod);

/// Who may use a claim: an element of status.reservedFor.
struct ClaimConsumer {
  std::string group, resource, name, uid;
};

/// What a claim's status says of its use.
struct ClaimUse {
  static constexpr size_t most_consumers = 256;  ///< ResourceClaimReservedForMaxSize
  bool allocated = false;
  std::vector<ClaimConsumer> reserved_for;

  bool is_reserved_for(std::string_view pod_uid) const;
  bool can_be_reserved() const { return reserved_for.size() < most_consumers; }
};
ClaimUse claim_use(const model::ObjectRef& claim);

/// A merge patch of the claim's status, refused when the claim has changed: its consumers, and nothing of an allocation any more when
/// `deallocated`.
std::string consumers_patch(const model::ObjectRef& claim, const std::vector<ClaimConsumer>& consumers, bool deallocated);

}  // namespace estiba::client
