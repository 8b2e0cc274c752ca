// Runtime: GetContainerEvents.
#include "base/log.h"
#include "cri/runtime.h"

namespace estiba::cri {

static constexpr size_t most_waiting = 1000;

std::shared_ptr<EventQueue> Runtime::subscribe() {
  auto queue = std::make_shared<EventQueue>();
  queues_.push_back(queue);
  return queue;
}

void Runtime::engine_event(const engine::Event& event) {
  using Type = engine::Event::Type;
  if (event.type == Type::sandbox_died && records_.sandbox(event.pod_uid))
    tell(v1::ContainerEventType::stopped, event.pod_uid, event.pod_uid);
  if (!records_.container(event.container_id)) return;
  if (event.type == Type::container_started) tell(v1::ContainerEventType::started, event.container_id, event.pod_uid);
  if (event.type == Type::container_exited) tell(v1::ContainerEventType::stopped, event.container_id, event.pod_uid);
}

void Runtime::tell(v1::ContainerEventType type, const std::string& id, const std::string& sandbox_id) {
  std::erase_if(queues_, [](const auto& queue) { return queue.expired(); });
  if (queues_.empty()) return;
  v1::ContainerEventResponse event;
  event.container_id = id;
  event.container_event_type = type;
  event.created_at = now_ns();
  if (const SandboxRecord* sandbox = records_.sandbox(sandbox_id)) {
    event.pod_sandbox_status = describe(*sandbox);
    for (const ContainerRecord& container : containers_of(sandbox_id)) event.containers_statuses.push_back(describe(container));
  }
  const std::string bytes = encode(event);
  for (const auto& weak : queues_) {
    auto queue = weak.lock();
    if (!queue || queue->behind) continue;
    if (queue->waiting.size() >= most_waiting) queue->behind = true;
    else queue->waiting.push_back(bytes);
    queue->more.set();
  }
}

}  // namespace estiba::cri
