// Lives: creation.
#include <unistd.h>

#include "base/log.h"
#include "base/strings.h"
#include "docker/background.h"
#include "docker/config.h"
#include "docker/daemon.h"
#include "docker/engine_specs.h"
#include "docker/errors.h"
#include "docker/events.h"
#include "docker/lives.h"
#include "docker/mount_spec.h"
#include "docker/network_spec.h"
#include "docker/signals.h"
#include "engine/engine.h"
#include "image/reference.h"
#include "image/store.h"
#include "io/loop.h"
#include "io/pool.h"
#include "os/file.h"
#include "volume/volumes.h"

namespace estiba::docker {

namespace {

using json::Node;

struct FoundImage {
  std::string id;
  json::Document config;  ///< the whole configuration; "config" in it is what containers inherit
};

/// Blocking.
Result<FoundImage> find_image(image::Store& store, const std::string& name) {
  auto missing = [&] {
    auto parsed = image::parse_reference(name);
    return fail(Code::not_found, "No such image: " + (parsed && !image::is_image_id(name) ? parsed->familiar() : name));
  };
  auto record = store.find(name);
  if (!record) {
    if (record.error().code == Code::invalid) return fail(Code::invalid, "invalid reference format: " + record.error().message);
    return std::unexpected(std::move(record.error()));
  }
  if (!*record) return missing();
  return FoundImage{(*record)->id, TRY(json::Document::parse(TRY(store.read_blob((*record)->id)), {.allow_duplicate_keys = true}))};
}

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

/// Takes back what a creation that failed has reserved.
struct NameGuard {
  Containers& containers;
  std::string name, id;
  bool kept = false;
  ~NameGuard() {
    if (!kept) containers.release_name(name, id);
  }
};

}  // namespace

Task<Result<Created>> Lives::create(CreateRequest request) { return background(daemon_.tasks(), do_create(std::move(request))); }

/// Names of other containers in modes become ids, so that a renamed one is still found.
static Result<void> resolve_others(json::Document& host, const Containers& containers) {
  for (const char* key : {"NetworkMode", "IpcMode", "PidMode"}) {
    const std::string_view name = other_of(host.root().string_at(key));
    if (name.empty()) continue;
    auto other = containers.find(name);
    // Not "not found": clients would take the image for missing and pull it. So with links.
    if (!other) return fail(Code::invalid, other.error().message);
    host.set(host.root(), key, "container:" + (*other)->id);
  }
  if (const Node* links = host.root().find("Links"))
    for (const Node& link : *links) {
      const std::string_view name = split_once(link.as_string(), ':').first;
      if (auto other = containers.find(name); !other)
        return fail(Code::invalid, "could not get container for " + std::string(name) + ": " + other.error().message);
    }
  return {};
}

static Result<void> settle_hostname(Container& c, const Node& given, const Containers& containers) {
  const std::string& mode = c.facts.network_mode;
  if (const std::string_view id = other_of(mode); !id.empty()) {
    if (!given.string_at("Hostname").empty()) return fail(Code::invalid, "conflicting options: hostname and the network mode");
    if (c.config.root().find("ExposedPorts") && given.find("ExposedPorts") && !given.find("ExposedPorts")->empty())
      return fail(Code::invalid, "conflicting options: port exposing and the container type network mode");
    if (const Node* ports = c.host_config.root().find("PortBindings"); ports && !ports->empty())
      return fail(Code::invalid, "conflicting options: port publishing and the container type network mode");
    c.config.set(c.config.root(), "Hostname", TRY(containers.find(id))->config.root().string_at("Hostname"));
  } else if ((mode == "host" || c.host_config.root().string_at("UTSMode") == "host") && given.string_at("Hostname").empty()) {
    c.config.set(c.config.root(), "Hostname", host_name());
  }
  return {};
}

Task<Result<Created>> Lives::do_create(CreateRequest request) {
  Containers& containers = daemon_.containers();
  const Node& body = request.body.root();
  auto container = std::make_shared<Container>();
  Container& c = *container;
  c.id = hex_encode(random_bytes(32));
  std::string_view wanted = request.name;
  if (wanted.starts_with('/')) wanted.remove_prefix(1);
  c.name = wanted.empty() ? containers.made_up_name() : std::string(wanted);
  c.image = body.string_at("Image");
  if (c.image.empty()) co_return fail(Code::invalid, "no image specified: Image is empty");
  CO_TRY(containers.reserve_name(c.name, c.id));
  NameGuard name{containers, c.name, c.id};
  FoundImage image = CO_TRY(co_await daemon_.pool().run([store = daemon_.images(), name = c.image] { return find_image(*store, name); }));
  c.image_id = image.id;
  c.created = daemon_.loop().wall_now();
  c.config = CO_TRY(whole_config(body, image.config.root().find("config"), c.image, c.id));
  c.host_config = CO_TRY(whole_host_config(body.find("HostConfig")));
  CO_TRY(resolve_others(c.host_config, containers));
  c.facts = facts_of(c.config.root(), c.host_config.root());
  CO_TRY(settle_hostname(c, body, containers));
  CO_TRY(parse_signal(c.facts.stop_signal));
  CO_TRY(log_limits(c.host_config.root()));
  CO_TRY(port_bindings(c.config.root(), c.host_config.root()));
  c.endpoints = CO_TRY(initial_endpoints(body.find("NetworkingConfig"), c.facts.network_mode));
  c.mounts = CO_TRY(mount_points(c.config.root(), c.host_config.root(), [&](std::string_view other) { return containers.find(other); }));
  c.creating = true;
  auto made = co_await furnish(container);
  if (!made) {
    auto undone = co_await clear(container, true);
    if (!undone) log::warn("docker", "a creation that failed left something", {{"container", c.id}, {"error", undone.error()}});
    co_return std::unexpected(std::move(made.error()));
  }
  c.creating = false;
  containers.insert(container);
  name.kept = true;
  CO_TRY(co_await containers.save(container));
  Created out{c.id, {}};
  check_later_problems(c, out.warnings);
  tell(c, "create");
  co_return out;
}

void Lives::check_later_problems(const Container& c, std::vector<std::string>& warnings) {
  const Node& host = c.host_config.root();
  if (c.facts.network_mode == "host" && host.find("PortBindings") && !host.find("PortBindings")->empty())
    warnings.emplace_back("Published ports are discarded when using host network mode");
  if (bool_at(host, "OomKillDisable") && int_at(host, "Memory") == 0)
    warnings.emplace_back(
        "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.");
}

Task<Result<void>> Lives::furnish(ContainerRef container) {
  Container& c = *container;
  Containers& containers = daemon_.containers();
  // What a creation that is cut short leaves without a record (a root, files in memory) restore() finds all the same; volumes it would not.
  if (!Containers::passing(c)) CO_TRY(co_await containers.note(container));
  CO_TRY(co_await containers.blocking(Containers::passing(c), [files = containers.files_dir(c)] { return os::make_dirs(files, 0711); }));
  CO_TRY(co_await daemon_.engine().make_root(c.id, c.image_id, Containers::passing(c)));
  CO_TRY(co_await make_volumes(container));
  co_return co_await fill_volumes(container);
}

Task<Result<void>> Lives::make_volumes(ContainerRef container) {
  bool named = false;
  const Node* mounts = container->host_config.root().find("Mounts");
  for (MountPoint& mount : container->mounts) {
    if (mount.type != "volume") continue;
    volume::VolumeSpec spec;
    spec.name = mount.name;
    spec.driver = mount.driver.empty() ? "local" : mount.driver;
    if (const std::string_view driver = container->host_config.root().string_at("VolumeDriver"); !driver.empty()) spec.driver = driver;
    if (mounts)
      for (const Node& item : *mounts) {
        if (item.string_at("Target") != mount.destination) continue;
        if (const Node* labels = item.at("VolumeOptions", "Labels"))
          for (const Node& label : *labels) spec.labels.emplace(label.key(), label.as_string());
        if (const Node* options = item.at("VolumeOptions", "DriverConfig", "Options"))
          for (const Node& option : *options) spec.options.emplace(option.key(), option.as_string());
      }
    auto made = CO_TRY(co_await daemon_.volumes().create(std::move(spec)));
    named |= mount.name != made.volume.name;
    mount.name = made.volume.name;
    mount.driver = made.volume.driver;
    mount.source = made.volume.path;
    CO_TRY(daemon_.volumes().refer(mount.name, container->id));
    if (made.made) daemon_.events().publish("volume", "create", mount.name, {{"driver", mount.driver}});
  }
  // Names that were made up must be known to whoever undoes a creation that kill -9 has cut short.
  if (named) CO_TRY(co_await daemon_.containers().note(container));
  co_return {};
}

Task<Result<void>> Lives::fill_volumes(ContainerRef container) {
  std::string root;
  Result<void> done;
  for (const MountPoint& mount : container->mounts) {
    if (mount.type != "volume" || !mount.copy_up) continue;
    if (root.empty()) root = CO_TRY(co_await daemon_.engine().mount_root(container->id));
    auto path = co_await daemon_.volumes().mount(mount.name, container->id);
    if (path) {
      done = co_await daemon_.volumes().copy_up(mount.name, root, mount.destination);
      (void)co_await daemon_.volumes().unmount(mount.name, container->id);
    } else {
      done = std::unexpected(std::move(path.error()));
    }
    if (!done) break;
  }
  if (!root.empty()) {
    auto unmounted = co_await daemon_.engine().unmount_root(container->id);
    if (done && !unmounted) done = std::move(unmounted);
  }
  co_return done;
}

}  // namespace estiba::docker
