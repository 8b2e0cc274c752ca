#include "controllers/stateful_claims.h"

#include "controllers/stateful_identity.h"

namespace estiba::controllers {

using client::EventType;
using model::ObjectRef;

bool StatefulClaims::stale(const ObjectRef& set, int64_t ordinal) const {
  const std::string pod = set.meta().name + "-" + std::to_string(ordinal);
  for (const std::string& name : claim_names(set, ordinal))
    if (const ObjectRef claim = claims_.get(set.meta().ns, name); claim && claim_is_stale(claim, set, pod)) return true;
  return false;
}

Task<Result<void>> StatefulClaims::make_missing(ObjectRef set, std::string pod, int64_t ordinal) {
  const std::vector<std::string> names = claim_names(set, ordinal);
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string key = client::key_of(set.meta().ns, names[i]);
    if (const ObjectRef claim = claims_.get(key)) {
      if (!claim.meta().deletion_timestamp.empty()) co_return fail(Code::conflict, "pvc " + names[i] + " is being deleted");
      continue;
    }
    const std::string what = "Create Claim " + names[i] + " ";
    auto made = co_await client_.create(persistent_volume_claims, set.meta().ns, CO_TRY(claim_body(set, i, ordinal)));
    if (made) {
      claims_.observe(*made);
      events_.record(set, EventType::normal, "SuccessfulCreate", what + "Pod " + pod + " in StatefulSet " + set.meta().name + " success");
    } else {
      if (made.error().code != Code::already_exists)
        events_.record(set, EventType::warning, "FailedCreate",
                       what + "for Pod " + pod + " in StatefulSet " + set.meta().name + " failed error: " + made.error().message);
      co_return std::unexpected(std::move(made.error()).context("failed to create PVC " + names[i]));
    }
  }
  co_return {};
}

Task<Result<void>> StatefulClaims::put_owners_right(ObjectRef set, ObjectRef pod, int64_t ordinal, bool scaled_down) {
  for (const std::string& name : claim_names(set, ordinal)) {
    const ObjectRef claim = claims_.get(set.meta().ns, name);
    if (!claim) continue;
    const std::string patch = claim_owners_patch(claim, set, pod.meta(), scaled_down);
    if (patch.empty()) continue;
    if (claim_has_other_controller(claim, set, pod.meta()))
      events_.record(
          set, EventType::warning, "ConflictingController",
          "PersistentVolumeClaim " + name +
              " has a conflicting OwnerReference that acts as a managing controller, the retention policy is ignored for this claim");
    auto written = co_await client_.patch(persistent_volume_claims, set.meta().ns, name, client::PatchType::merge, patch);
    if (written) claims_.observe(*written);
    else if (written.error().code != Code::not_found)
      co_return std::unexpected(std::move(written.error()).context("could not update claim " + name + " for delete policy ownerRefs"));
  }
  co_return {};
}

}  // namespace estiba::controllers
