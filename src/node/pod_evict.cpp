// What a node in need takes from its pods: their lives (evictions), or what they have left behind.
#include "base/log.h"
#include "node/pod_worker.h"
#include "node/preemption.h"

namespace estiba::node {

void PodWorker::admit() {
  held_ = false;
  wake();
}

bool PodWorker::evicted() const { return failed_reason_ == "Evicted" || failed_reason_ == preempting; }

void PodWorker::evict(const Eviction& eviction) {
  failed_reason_ = eviction.reason;
  failed_message_ = eviction.message;
  evict_grace_ = eviction.grace;
  disruption_ = eviction.disruption;
  event(client::EventType::warning, failed_reason_, failed_message_);
  status_changed();
  wake();
}

void PodWorker::drop_ended(std::shared_ptr<void> token) {
  drop_tokens_.push_back(std::move(token));
  wake();
}

std::optional<engine::ContainerStatus> PodWorker::status_of(const std::string& id) const {
  if (id.empty()) return std::nullopt;
  auto status = context_.engine.container(id);
  if (status) return status;
  const auto dropped = dropped_.find(id);
  return dropped == dropped_.end() ? std::nullopt : std::optional(dropped->second);
}

// How they ended is still told.
void PodWorker::remember_ended() {
  for (const auto& c : containers_)
    for (const std::string* id : {&c->id, &c->previous_id})
      if (const auto status = context_.engine.container(*id); status && !id->empty()) dropped_[*id] = *status;
}

Task<void> PodWorker::drop_what_ended() {
  const auto tokens = std::exchange(drop_tokens_, {});
  if (rested_) {
    co_await drop_content();
    co_return;
  }
  for (auto& c : containers_) {
    const auto status = c->previous_id.empty() ? std::nullopt : context_.engine.container(c->previous_id);
    if (!status) continue;
    dropped_[c->previous_id] = *status;
    if (auto removed = co_await context_.engine.remove_container(c->previous_id); !removed)
      log::warn("node", "ended container not removed", {{"pod", client::key_of(pod_)}, {"error", removed.error()}});
  }
}

// What an ended pod has on the disk: the writable layers, and the volumes of one that was evicted. Its logs stay until it is deleted. A
// sandbox's mounts keep its volumes busy: it goes first.
Task<void> PodWorker::drop_content() {
  if (content_dropped_) co_return;
  remember_ended();
  auto gone = co_await context_.engine.remove_sandbox(uid_);
  if (gone) gone = co_await context_.network.detach(uid_);
  if (gone && evicted()) gone = co_await volumes_.remove();
  if (!gone) log::warn("node", "what an ended pod has left is not removed", {{"pod", client::key_of(pod_)}, {"error", gone.error()}});
  content_dropped_ = gone.has_value();
}

}  // namespace estiba::node
