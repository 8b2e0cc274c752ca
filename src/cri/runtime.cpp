#include "cri/runtime.h"

#include <algorithm>

#include "base/log.h"

namespace estiba::cri {

bool selects(const Labels& selector, const Labels& labels) {
  return std::all_of(selector.begin(), selector.end(), [&](const auto& want) {
    auto found = labels.find(want.first);
    return found != labels.end() && found->second == want.second;
  });
}

int64_t nanoseconds(WallTime at) { return std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count(); }

Runtime::Runtime(Options options, Parts parts)
    : options_(std::move(options)), parts_(parts), records_(options_.run_dir), streaming_(parts.engine, parts.executor) {
  parts_.engine.on_event([this, alive = alive_](const engine::Event& event) {
    if (*alive) engine_event(event);
  });
}

Runtime::~Runtime() { *alive_ = false; }

int64_t Runtime::now_ns() const { return nanoseconds(parts_.executor.wall_now()); }

Task<Result<void>> Runtime::start() {
  CO_TRY_AS("the CRI's records", records_.load());
  store_ = CO_TRY(image::Store::open(options_.data_dir));
  // A record is written before the engine makes anything, and removed after the engine has: what only one side has was under way.
  std::vector<std::string> lost, strays;
  for (const auto& [id, container] : records_.containers())
    if (!parts_.engine.container(id) || !records_.sandbox(container.sandbox_id)) lost.push_back(id);
  for (const std::string& id : lost) records_.remove_container(id);
  lost.clear();
  for (const auto& [id, sandbox] : records_.sandboxes())
    if (!parts_.engine.sandbox(id)) lost.push_back(id);
  for (const std::string& id : lost) {
    CO_TRY(co_await parts_.network.detach(id));
    records_.remove_sandbox(id);
  }
  for (const engine::SandboxStatus& sandbox : parts_.engine.sandboxes()) {
    if (sandbox.owner != "cri") continue;
    if (!records_.sandbox(sandbox.uid)) {
      strays.push_back(sandbox.uid);
      continue;
    }
    for (const auto& container : sandbox.containers)
      if (!records_.container(container.id)) CO_TRY(co_await parts_.engine.remove_container(container.id));
  }
  for (const std::string& id : strays) {
    log::info("cri", "removing a sandbox that was never told of", {{"id", id}});
    CO_TRY(co_await parts_.engine.remove_sandbox(id));
    CO_TRY(co_await parts_.network.detach(id));
  }
  co_return {};
}

Result<SandboxRecord> Runtime::known_sandbox(std::string_view id) const {
  if (const SandboxRecord* found = records_.sandbox(id)) return *found;
  return fail(Code::not_found, "sandbox " + std::string(id) + " does not exist");
}

Result<ContainerRecord> Runtime::known_container(std::string_view id) const {
  if (const ContainerRecord* found = records_.container(id)) return *found;
  return fail(Code::not_found, "container " + std::string(id) + " does not exist");
}

std::vector<ContainerRecord> Runtime::containers_of(std::string_view sandbox_id) const {
  std::vector<ContainerRecord> out;
  for (const auto& [id, container] : records_.containers())
    if (container.sandbox_id == sandbox_id) out.push_back(container);
  return out;
}

}  // namespace estiba::cri
