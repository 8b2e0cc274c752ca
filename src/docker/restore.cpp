// Lives: finding everything again when the daemon starts.
#include <set>

#include "base/log.h"
#include "docker/daemon.h"
#include "docker/lives.h"
#include "engine/engine.h"
#include "io/loop.h"
#include "io/pool.h"
#include "network/bridge/networks.h"
#include "os/file.h"
#include "volume/volumes.h"

namespace estiba::docker {

namespace {

/// What Docker says of containers whose end nobody saw.
constexpr int unseen_exit_code = 255;

bool is_id(std::string_view name) { return name.size() == 64 && name.find_first_not_of("0123456789abcdef") == name.npos; }

}  // namespace

Task<Result<void>> Lives::restore() {
  Containers& containers = daemon_.containers();
  std::vector<ContainerRef> found = CO_TRY(co_await daemon_.pool().run([&containers] { return containers.load(); }));
  std::vector<std::string> running;
  for (const ContainerRef& c : found)
    if (auto now = daemon_.engine().container(c->id); now && now->state == engine::ContainerState::running) running.push_back(c->id);
  CO_TRY(co_await daemon_.networks().recover(std::move(running)));
  std::vector<ContainerRef> unfinished;
  for (const ContainerRef& c : found) {
    // The marks of a half-made one are what clear() goes by.
    if (!c->creating) containers.insert(c);
    for (const MountPoint& mount : c->mounts)
      if (mount.type == "volume" && !mount.name.empty())
        if (auto referred = daemon_.volumes().refer(mount.name, c->id); !referred)
          log::warn("docker", "a container's volume is gone", {{"container", c->name}, {"error", referred.error()}});
    if (c->creating || c->status == Status::removing || c->status == Status::dead) unfinished.push_back(c);
  }
  for (const ContainerRef& c : unfinished)
    if (auto cleared = co_await clear(c, true); !cleared)
      log::error("docker", "an unfinished container could not be removed", {{"container", c->id}, {"error", cleared.error()}});
  for (const ContainerRef& c : found)
    if (!c->removed && c->status != Status::dead && !c->creating)
      if (auto adopted = co_await adopt(c); !adopted)
        log::error("docker", "a container could not be taken over", {{"container", c->name}, {"error", adopted.error()}});
  co_return co_await clear_strangers();
}

Task<Result<void>> Lives::adopt(ContainerRef container) {
  Container& c = *container;
  auto now = daemon_.engine().container(c.id);
  if (now && now->state == engine::ContainerState::running) {
    c.status = now->paused ? Status::paused : Status::running;
    c.pid = now->pid;
    c.started = now->started;
    c.finished = {};
    c.exit_code = 0;
    ++c.generation;
    daemon_.containers().touch(c);
    for (const MountPoint& mount : c.mounts)
      if (mount.type == "volume") CO_TRY(co_await daemon_.volumes().mount(mount.name, c.id));
    watch_health(container);
    co_return {};
  }
  const bool ran = c.running() || c.status == Status::restarting || (now && now->state == engine::ContainerState::exited);
  if (now && now->state == engine::ContainerState::exited) {
    c.started = now->started;
    c.exit_code = now->exit_code;
    c.oom_killed = now->oom_killed;
    c.finished = now->finished;
  } else if (c.running()) {
    c.exit_code = unseen_exit_code;
    c.finished = daemon_.loop().wall_now();
  }
  if (ran) {
    c.status = Status::exited;
    c.pid = 0;
    daemon_.containers().touch(c);
    CO_TRY(co_await daemon_.engine().remove_sandbox(c.id));
    daemon_.containers().save_soon(container);
  }
  const bool started_once = c.started != WallTime{};
  if (started_once && wants_restart(c)) {
    daemon_.tasks().start([](Lives* self, ContainerRef c) -> Task<void> {
      auto held = co_await c->lifecycle.lock();
      if (c->removed || c->running()) co_return;
      if (auto started = co_await self->launch(c); !started)
        log::error("docker", "a container could not be started by its restart policy",
                   {{"container", c->name}, {"error", started.error()}});
    }(this, container));
  } else if (started_once && c.facts.auto_remove) {
    co_return co_await clear(container, true);
  }
  co_return {};
}

Task<Result<void>> Lives::clear_strangers() {
  for (const auto& box : daemon_.engine().sandboxes()) {
    if (box.owner != "docker") continue;
    if (auto known = daemon_.containers().find(box.uid); known && (*known)->running()) continue;
    if (auto removed = co_await daemon_.engine().remove_sandbox(box.uid); !removed)
      log::warn("docker", "an unknown sandbox stays", {{"id", box.uid}, {"error", removed.error()}});
  }
  // Roots whose record is gone: kill -9 came between the two.
  auto entries = co_await daemon_.pool().run([dir = daemon_.options().data_dir + "/containers"]() -> Result<std::vector<std::string>> {
    std::vector<std::string> out;
    if (!os::exists(dir)) return out;
    for (const auto& entry : TRY(os::list_dir(dir)))
      if (is_id(entry.name) && os::exists(dir + "/" + entry.name + "/keep")) out.push_back(entry.name);
    return out;
  });
  const std::string passing = daemon_.containers().passing_dir();
  for (const auto& entry : CO_TRY(os::list_dir(passing)))
    if (is_id(entry.name) && !daemon_.containers().has_record(entry.name)) CO_TRY(os::remove_all(passing + "/" + entry.name));
  for (const auto& id : CO_TRY(entries)) {
    if (daemon_.containers().has_record(id)) continue;
    if (auto removed = co_await daemon_.engine().remove_root(id); !removed)
      log::warn("docker", "an unknown container's root stays", {{"id", id}, {"error", removed.error()}});
  }
  co_return {};
}

}  // namespace estiba::docker
