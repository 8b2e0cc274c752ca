#include "node/placement/shared_cpus.h"

#include "base/log.h"

namespace estiba::node {

SharedCpus::SharedCpus(Placement& placement, engine::Engine& engine) : placement_(placement), engine_(engine) {
  placement_.on_change([this] { wake_.set(); });
}

void SharedCpus::start() {
  if (!placement_.cpus().exclusive() && !placement_.memory().pinned()) return;
  wake_.set();
  job_ = Job(run(this));
}

Task<void> SharedCpus::run(SharedCpus* self) {
  for (;;) {
    co_await self->wake_.wait();
    self->wake_.reset();
    co_await self->pass();
  }
}

Task<void> SharedCpus::pass() {
  std::map<std::string, std::string> before = std::exchange(applied_, {});
  for (const engine::SandboxStatus& sandbox : engine_.sandboxes()) {
    if (!sandbox.owner.empty()) continue;  // Docker's and CRI clients' are theirs to place
    for (const engine::ContainerStatus& container : sandbox.containers) {
      if (container.state != engine::ContainerState::running) continue;
      engine::Resources limits;
      placement_.limit(limits, sandbox.uid, container.name);
      if (const auto known = before.find(container.id);
          known == before.end() || known->second != limits.cpuset_cpus + "|" + limits.cpuset_mems) {
        auto updated = co_await engine_.update(container.id, limits);
        // One that has ended meanwhile runs nowhere.
        if (!updated && updated.error().code != Code::not_found && updated.error().code != Code::conflict) {
          log::warn("node", "a container stays on the CPUs that it had",
                    {{"container", container.name}, {"cpus", limits.cpuset_cpus}, {"error", updated.error()}});
          continue;
        }
      }
      applied_[container.id] = limits.cpuset_cpus + "|" + limits.cpuset_mems;
    }
  }
}

}  // namespace estiba::node
