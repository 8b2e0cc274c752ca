// Lives: starts.
#include "base/log.h"
#include "base/strings.h"
#include "docker/background.h"
#include "docker/config.h"
#include "docker/daemon.h"
#include "docker/engine_specs.h"
#include "docker/errors.h"
#include "docker/events.h"
#include "docker/lives.h"
#include "docker/network_spec.h"
#include "docker/start_errors.h"
#include "engine/engine.h"
#include "image/overlay.h"
#include "io/loop.h"
#include "io/pool.h"
#include "network/bridge/networks.h"
#include "os/file.h"
#include "volume/volumes.h"

namespace estiba::docker {

using json::Node;

Task<Result<bool>> Lives::start(ContainerRef container) { return background(daemon_.tasks(), do_start(std::move(container))); }

Task<Result<bool>> Lives::do_start(ContainerRef container) {
  Container& c = *container;
  if (c.status == Status::restarting) {
    // It is about to be started; now is as good a time.
    c.restart_cut.set();
  }
  auto held = co_await c.lifecycle.lock();
  if (c.removed) co_return no_such_container(c.id);
  if (c.status == Status::paused) co_return fail(Code::conflict, "cannot start a paused container, try unpause instead");
  if (c.running()) co_return false;
  if (c.status == Status::removing || c.status == Status::dead)
    co_return fail(Code::conflict, "container is marked for removal and cannot be started");
  c.manually_stopped = false;
  c.restart_delay = {};
  c.restart_count = 0;
  CO_TRY(co_await launch(container));
  co_return true;
}

Task<Result<void>> Lives::launch(ContainerRef container) {
  Container& c = *container;
  c.stop_restarts = false;
  auto done = co_await run(container);
  if (done) {
    tell(c, "start");
    watch_health(container);
    daemon_.containers().save_soon(container);
    // It may have ended already.
    if (auto now = daemon_.engine().container(c.id); !now || now->state == engine::ContainerState::exited)
      daemon_.tasks().start(ended(container));
    co_return {};
  }
  co_await let_go(container);
  (void)co_await daemon_.engine().remove_sandbox(c.id);
  const StartError told = start_error(done.error());
  c.error = told.error.message;
  c.exit_code = told.exit_code;
  if (c.status == Status::restarting) c.status = Status::exited;
  daemon_.containers().touch(c);
  daemon_.containers().save_soon(container);
  if (c.facts.auto_remove) (void)co_await clear(container, true);
  co_return std::unexpected(told.error);
}

Task<Result<void>> Lives::run(ContainerRef container) {
  Container& c = *container;
  SpecSurroundings around;
  around.mount_paths = CO_TRY(co_await mount_all(container));
  around.netns_path = CO_TRY(co_await join_network(container));
  const std::string_view other = other_of(c.facts.network_mode);
  around.log_dir = daemon_.containers().log_dir(c);
  around.files_dir = daemon_.containers().files_dir_of(other, c);
  if (other.empty()) CO_TRY(co_await write_files(container));
  around.groups = CO_TRY(co_await groups_of(container));
  around.other = [this](std::string_view name) { return running_pid(name); };
  EngineSpecs specs = CO_TRY(engine_specs(c, around));
  auto status = CO_TRY(co_await daemon_.engine().run(std::move(specs.sandbox), std::move(specs.container)));
  c.status = Status::running;
  c.pid = status.pid;
  c.exit_code = 0;
  c.oom_killed = false;
  c.error.clear();
  c.started = status.started == WallTime{} ? daemon_.loop().wall_now() : status.started;
  c.finished = {};
  ++c.generation;
  daemon_.containers().touch(c);
  co_return {};
}

Result<std::pair<int, std::string>> Lives::running_pid(std::string_view name) const {
  ContainerRef other = TRY(daemon_.containers().find(name));
  if (!other->running()) return fail(Code::conflict, "cannot join the namespace of container " + other->id + ": it is not running");
  other->joined = true;
  return std::pair(other->pid, daemon_.engine().shm_dir(other->id));
}

static Result<std::string> below(const std::string& dir, const std::string& subpath) {
  if (subpath.empty()) return dir;
  Fd root = TRY(os::open_file(dir, O_PATH | O_DIRECTORY));
  TRY_AS("volume subpath " + quoted(subpath), os::open_beneath(root.get(), subpath, O_PATH));
  return dir + "/" + subpath;
}

Task<Result<std::vector<std::string>>> Lives::mount_all(ContainerRef container) {
  Container& c = *container;
  std::vector<std::string> out;
  for (const MountPoint& mount : c.mounts) {
    if (mount.type == "volume") {
      std::string path = CO_TRY(co_await daemon_.volumes().mount(mount.name, c.id));
      out.push_back(CO_TRY(below(path, mount.subpath)));
      daemon_.events().publish("volume", "mount", mount.name,
                               {{"container", c.id},
                                {"destination", mount.destination},
                                {"driver", mount.driver},
                                {"propagation", mount.propagation},
                                {"read/write", mount.writable ? "true" : "false"}});
      continue;
    }
    if (!os::exists(mount.source)) {
      if (!mount.make_source)
        co_return fail(Code::invalid, "invalid mount config for type \"bind\": bind source path does not exist: " + mount.source);
      CO_TRY_AS("error while creating mount source path '" + mount.source + "'", os::make_dirs(mount.source));
    }
    out.push_back(mount.source);
  }
  co_return out;
}

Task<Result<std::string>> Lives::join_network(ContainerRef container) {
  Container& c = *container;
  const std::string_view kind = network_kind(c);
  if (kind == "host") co_return std::string();
  if (kind == "container") {
    ContainerRef other = CO_TRY(daemon_.containers().find(other_of(c.facts.network_mode)));
    if (!other->running()) co_return fail(Code::conflict, "cannot join network of a non running container: " + other->id);
    other->joined = true;
    if (network_kind(*other) == "host") co_return std::string();
    if (auto box = daemon_.networks().sandbox(other->id)) co_return box->netns_path;
    co_return "/proc/" + std::to_string(other->pid) + "/ns/net";
  }
  auto box = co_await daemon_.networks().attach(CO_TRY(network_spec(c)));
  if (!box) {
    Error error = std::move(box.error());
    error.context("failed to set up container networking");
    co_return std::unexpected(std::move(error));
  }
  for (const auto& endpoint : box->endpoints) tell_network(c, endpoint, "connect");
  co_return box->netns_path;
}

void Lives::tell_network(const Container& c, const network::bridge::EndpointInfo& endpoint, std::string action) {
  std::string driver = "bridge";
  if (auto network = daemon_.networks().find(endpoint.network_id)) driver = network->driver;
  daemon_.events().publish("network", std::move(action), endpoint.network_id,
                           {{"container", c.id}, {"name", endpoint.network_name}, {"type", std::move(driver)}});
}

Task<Result<void>> Lives::write_files(ContainerRef container) {
  Container& c = *container;
  std::vector<std::string> addresses;
  if (auto box = daemon_.networks().sandbox(c.id))
    for (const auto& endpoint : box->endpoints) {
      if (!endpoint.ipv4.empty()) addresses.push_back(endpoint.ipv4);
      if (!endpoint.ipv6.empty()) addresses.push_back(endpoint.ipv6);
    }
  const bool host = network_kind(c) == "host";
  std::string hosts = hosts_text(c, addresses, daemon_.networks().host_gateway());
  const Node& config = c.host_config.root();
  std::string resolv = host ? daemon_.networks().host_resolv_conf({strings_of(config.find("Dns")), strings_of(config.find("DnsSearch")),
                                                                   strings_of(config.find("DnsOptions"))})
                            : daemon_.networks().resolv_conf(c.id);
  std::string hostname = std::string(c.config.root().string_at("Hostname")) + "\n";
  auto work = [dir = daemon_.containers().files_dir(c), host, hosts = std::move(hosts), resolv = std::move(resolv),
               hostname = std::move(hostname)]() mutable -> Result<void> {
    TRY(os::make_dirs(dir, 0711));
    // With the host's network, the names that the host has of its own hold too.
    if (host) hosts = os::read_file("/etc/hosts").value_or("") + hosts;
    // In place: they may be mounted.
    TRY(os::write_file(dir + "/hosts", hosts, O_CREAT | O_TRUNC));
    TRY(os::write_file(dir + "/resolv.conf", resolv, O_CREAT | O_TRUNC));
    return os::write_file(dir + "/hostname", hostname, O_CREAT | O_TRUNC);
  };
  co_return co_await daemon_.containers().blocking(Containers::passing(c), std::move(work));
}

Task<Result<std::vector<int64_t>>> Lives::groups_of(ContainerRef container) {
  std::vector<int64_t> out;
  std::vector<std::string> names;
  for (const auto& group : strings_of(container->host_config.root().find("GroupAdd"))) {
    if (auto number = parse_number<int64_t>(group)) out.push_back(*number);
    else names.push_back(group);
  }
  if (names.empty()) co_return out;
  std::string root = CO_TRY(co_await daemon_.engine().mount_root(container->id));
  auto text = co_await daemon_.pool().run([root] { return image::read_in_root(root, "/etc/group", 4 << 20); });
  CO_TRY(co_await daemon_.engine().unmount_root(container->id));
  CO_TRY(text);
  for (const auto& name : names) {
    bool found = false;
    for (std::string_view line : split(*text, '\n')) {
      auto fields = split(line, ':');
      if (fields.size() < 3 || fields[0] != name) continue;
      if (auto gid = parse_number<int64_t>(fields[2])) {
        out.push_back(*gid);
        found = true;
        break;
      }
    }
    if (!found) co_return fail(Code::invalid, "Unable to find group " + name + ": no matching entries in group file");
  }
  co_return out;
}

Task<void> Lives::let_go(ContainerRef container) {
  Container& c = *container;
  auto box = daemon_.networks().sandbox(c.id);
  if (auto done = co_await daemon_.networks().release(c.id); !done)
    log::warn("docker", "a container's network was not released", {{"container", c.id}, {"error", done.error()}});
  if (box)
    for (const auto& endpoint : box->endpoints) tell_network(c, endpoint, "disconnect");
  for (const MountPoint& mount : c.mounts) {
    if (mount.type != "volume") continue;
    if (auto done = co_await daemon_.volumes().unmount(mount.name, c.id); !done)
      log::warn("docker", "a volume was not unmounted", {{"volume", mount.name}, {"error", done.error()}});
    daemon_.events().publish("volume", "unmount", mount.name, {{"container", c.id}, {"driver", mount.driver}});
  }
}

}  // namespace estiba::docker
