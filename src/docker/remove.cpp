// Lives: removal.
#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "docker/background.h"
#include "docker/config.h"
#include "docker/daemon.h"
#include "docker/errors.h"
#include "docker/events.h"
#include "docker/execs.h"
#include "docker/filters.h"
#include "docker/lives.h"
#include "docker/network_spec.h"
#include "docker/times.h"
#include "engine/engine.h"
#include "image/overlay.h"
#include "io/loop.h"
#include "io/pool.h"
#include "os/file.h"
#include "volume/volumes.h"

namespace estiba::docker {

Task<Result<void>> Lives::remove(ContainerRef container, bool force, bool volumes) {
  return background(daemon_.tasks(), do_remove(std::move(container), force, volumes));
}

static std::unexpected<Error> still(const Container& c, std::string_view why) {
  return fail(Code::conflict, "cannot remove container \"" + c.name + "\": container is " + std::string(why));
}

Task<Result<void>> Lives::do_remove(ContainerRef container, bool force, bool volumes) {
  Container& c = *container;
  if (c.removed) co_return no_such_container(c.id);
  if (c.status == Status::removing && c.lifecycle.locked())
    co_return fail(Code::conflict, "removal of container " + c.name + " is already in progress");
  if (!force) {
    if (c.status == Status::paused) co_return still(c, "paused and must be unpaused first");
    if (c.status == Status::running) co_return still(c, "running: stop the container before removing or force remove");
    if (c.status == Status::restarting) co_return still(c, "restarting: stop the container before removing or force remove");
  }
  // A start or the end of a run may be under way, and may be followed by another.
  Mutex::Held held;
  for (;;) {
    c.stop_restarts = true;
    c.restart_cut.set();
    held = co_await c.lifecycle.lock();
    if (c.removed) co_return {};
    if (!c.running()) break;
    if (!force) co_return still(c, "running: stop the container before removing or force remove");
    held.release();
    const uint64_t exits = c.exits;
    c.keep_once = true;  // we remove it ourselves
    if (auto killed = co_await send_signal(container, 9); !killed && c.running()) {
      c.keep_once = false;
      co_return fail(killed.error().code, "cannot remove container \"" + c.name + "\": could not kill: " + killed.error().message);
    }
    co_await wait_end(container, exits);
  }
  co_return co_await clear(container, volumes);
}

// Whether its processes had no way to pass a descriptor of its root to any other: no file system, network, IPC or PID namespace in common.
static bool unshared(const Container& c) {
  const json::Node& host = c.host_config.root();
  auto empty = [&](const char* key) {
    const json::Node* value = host.find(key);
    return !value || value->empty();
  };
  return c.mounts.empty() && !c.joined && network_kind(c) != "host" && network_kind(c) != "container" &&
         host.string_at("PidMode").empty() && host.string_at("IpcMode") == "private" && !bool_at(host, "Privileged") && empty("CapAdd") &&
         empty("Devices") && empty("DeviceRequests") && empty("SecurityOpt");
}

Task<Result<void>> Lives::clear(ContainerRef container, bool volumes) {
  Container& c = *container;
  const bool known = !c.creating;
  // It must not come back as half a container.
  const bool told = known && !restore_removes(c);
  c.status = Status::removing;
  daemon_.containers().touch(c);
  if (told) CO_TRY(co_await daemon_.containers().note(container));
  auto gone = co_await daemon_.engine().remove_sandbox(c.id);
  if (gone) gone = co_await daemon_.engine().remove_root(c.id, unshared(c));
  if (!gone) {
    // It can be tried again, and is when the daemon starts.
    c.status = Status::dead;
    c.error = gone.error().message;
    daemon_.containers().touch(c);
    co_return fail(gone.error().code, "cannot remove container \"" + c.name + "\": unable to remove filesystem: " + gone.error().message);
  }
  for (const MountPoint& mount : c.mounts) {
    if (mount.type != "volume" || mount.name.empty()) continue;
    daemon_.volumes().forget(mount.name, c.id);
    if (!volumes || !mount.anonymous) continue;
    if (auto removed = co_await daemon_.volumes().remove(mount.name, true); removed)
      daemon_.events().publish("volume", "destroy", mount.name, {{"driver", mount.driver}});
    else if (removed.error().code != Code::conflict)  // another container has it as well
      log::warn("docker", "an anonymous volume stays", {{"volume", mount.name}, {"error", removed.error()}});
  }
  CO_TRY(co_await daemon_.containers().forget(container));
  if (known) {
    daemon_.containers().erase(container);
    daemon_.execs().forget(c);
    tell(c, "destroy");
  }
  co_return {};
}

Task<Result<Pruned>> Lives::prune(Filters filters) {
  Pruned out;
  std::optional<WallTime> until;
  if (filters.get("until").size() > 1) co_return fail(Code::invalid, "more than one until filter specified");
  if (filters.has("until")) until = CO_TRY(parse_time(filters.get("until").front(), daemon_.loop().wall_now()));
  for (const ContainerRef& c : daemon_.containers().all()) {
    if (c->running() || c->status == Status::restarting || c->status == Status::removing || c->lifecycle.locked()) continue;
    if (until && c->created >= *until) continue;
    if (!filters.labels(c->facts.labels)) continue;
    auto usage = co_await daemon_.pool().run([path = daemon_.engine().upper_dir(c->id)] { return image::disk_usage(path); });
    auto removed = co_await remove(c, false, false);
    if (!removed) {
      log::warn("docker", "a container was not pruned", {{"container", c->id}, {"error", removed.error()}});
      continue;
    }
    if (usage) out.bytes += usage->bytes;
    out.ids.push_back(c->id);
  }
  daemon_.events().publish("container", "prune", "", {{"reclaimed", std::to_string(out.bytes)}});
  co_return out;
}

}  // namespace estiba::docker
