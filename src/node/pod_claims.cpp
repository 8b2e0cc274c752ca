// A pod's claims of devices: these are prepared before anything of the pod starts, and put away before its end is told, because the control
// plane gives them to others from then on.
#include <algorithm>

#include "base/log.h"
#include "node/dra/device_claims.h"
#include "node/pod_worker.h"

namespace estiba::node {

using namespace model::core_v1;
using namespace std::chrono_literals;

// Between two tries: a second at first, ten at most.
void PodWorker::claims_failed() {
  claims_wait_ = std::clamp<Duration>(claims_wait_ * 2, 1s, 10s);
  claims_next_ = context_.loop.now() + claims_wait_;
  wake_at(claims_next_);
}

bool PodWorker::wait_for_claims() {
  if (context_.loop.now() >= claims_next_) return false;
  wake_at(claims_next_);
  return true;
}

void PodWorker::claims_driver_here() {
  if (claims_next_ == Instant{}) return;
  claims_next_ = {};
  wake();
}

Task<bool> PodWorker::ensure_claims() {
  const bool none = spec().spec.resourceClaims.empty() && !spec().status.extendedResourceClaimStatus;
  if (none || claims_ready_) co_return true;
  // Of a pod that an earlier server has started, nobody is asked: it runs with what it has.
  if (sandbox_ready_ && context_.claims && context_.claims->has_all(pod_)) co_return claims_ready_ = true;
  if (wait_for_claims()) co_return false;
  Result<void> prepared = fail(Code::unsupported, "spec.resourceClaims: no driver can register on this node, which has no --kubelet-dir");
  if (context_.claims) prepared = co_await context_.claims->prepare(pod_);
  claims_ready_ = prepared.has_value();
  if (claims_ready_) {
    claims_wait_ = {};
    claims_next_ = {};
    co_return true;
  }
  const Error error = std::move(prepared.error()).context("Failed to prepare dynamic resources: prepare dynamic resources");
  event(client::EventType::warning, "FailedPrepareDynamicResources", error.message);
  log::warn("node", "will try again", {{"pod", client::key_of(pod_)}, {"reason", "FailedPrepareDynamicResources"}, {"error", error}});
  claims_failed();
  co_return false;
}

/// Whether the pod has no devices any more. Only when nothing of it runs.
Task<bool> PodWorker::release_claims() {
  if (!context_.claims || !context_.claims->has(uid_)) co_return true;
  if (std::exchange(claims_ready_, false)) claims_next_ = {};
  if (wait_for_claims()) co_return false;
  auto released = co_await context_.claims->unprepare(uid_);
  if (released) co_return true;
  log::warn("node", "devices of a pod are not put away; will try again", {{"pod", client::key_of(pod_)}, {"error", released.error()}});
  claims_failed();
  co_return false;
}

// What the status says of devices: how they are, and no end while the pod has some.
void PodWorker::tell_of_claims(PodStatus& status) const {
  if (!context_.claims) return;
  context_.claims->add_health(pod_, status);
  const std::string& told = spec().status.phase;
  if ((status.phase == "Succeeded" || status.phase == "Failed") && told != status.phase && context_.claims->has(uid_))
    status.phase = told.empty() ? "Pending" : told;
}

Result<void> PodWorker::add_claimed(engine::ContainerSpec& made, const std::string& container) const {
  if (!context_.claims) return {};
  for (std::string& device : TRY(context_.claims->cdi_devices(pod_, *find_spec(container)))) made.cdi_devices.push_back(std::move(device));
  return {};
}

}  // namespace estiba::node
