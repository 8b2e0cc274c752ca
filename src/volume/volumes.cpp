#include "volume/volumes.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "base/turns.h"
#include "io/pool.h"
#include "model/json.h"
#include "os/file.h"
#include "os/mount.h"
#include "os/placement.h"
#include "volume/mount_options.h"
#include "volume/tree_copy.h"

namespace estiba::volume {

namespace {

constexpr std::string_view kAnonymous = "com.docker.volume.anonymous";

std::string record_text(const VolumeInfo& volume) {
  json::Document doc;
  json::Node& root = doc.make_object();
  doc.set_root(root);
  doc.set(root, "Name", volume.name);
  doc.set(root, "Driver", volume.driver);
  doc.set(root, "CreatedAt", format_rfc3339_nano(volume.created));
  for (auto [key, map] : {std::pair("Options", &volume.options), std::pair("Labels", &volume.labels)}) {
    json::Node& object = doc.set(root, key, doc.make_object());
    for (const auto& [name, value] : *map) doc.set(object, name, value);
  }
  return json::print_pretty(root) + "\n";
}

void read_record(const std::string& text, VolumeInfo& volume) {
  auto doc = json::Document::parse(text);
  if (!doc) return;
  const json::Node& root = doc->root();
  if (auto driver = root.string_at("Driver"); !driver.empty()) volume.driver = driver;
  if (auto created = parse_rfc3339(root.string_at("CreatedAt"))) volume.created = *created;
  for (auto [key, map] : {std::pair("Options", &volume.options), std::pair("Labels", &volume.labels)})
    if (const json::Node* object = root.find(key))
      for (const json::Node& item : *object) map->emplace(item.key(), item.as_string());
}

Result<void> check_name(const std::string& name) {
  auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  if (name.size() == 1) return fail(Code::invalid, "volume name is too short, names should be at least two alphanumeric characters");
  bool good = plain(name[0]) && name.size() <= 255 &&
              std::ranges::all_of(name, [&](char c) { return plain(c) || c == '_' || c == '.' || c == '-'; });
  if (good) return {};
  return fail(Code::invalid, quoted(name) +
                                 " includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. "
                                 "If you intended to pass a host directory, use absolute path");
}

Result<VolumeInfo> load(const std::string& dir, const std::string& name) {
  VolumeInfo volume;
  volume.name = name;
  volume.path = dir + "/" + name + "/_data";
  struct stat info = TRY(os::lstat_file(volume.path));
  volume.created = WallTime(std::chrono::seconds(info.st_ctim.tv_sec));
  if (auto text = os::read_file(dir + "/" + name + "/volume.json")) read_record(*text, volume);
  return volume;
}

// What an interrupted making left has no _data, and what an interrupted removal left has a name that no volume can have.
Result<std::vector<VolumeInfo>> load_all(const std::string& dir) {
  TRY(os::make_dirs(dir, 0701));
  os::place_apart(dir);
  std::vector<VolumeInfo> volumes;
  for (const os::DirEntry& item : TRY(os::list_dir(dir))) {
    if (item.name.starts_with(".removing-")) {
      if (auto gone = os::remove_all(dir + "/" + item.name); !gone)
        log::warn("volume", "a removed volume's files are still there", {{"error", gone.error()}});
      continue;
    }
    if (!check_name(item.name)) continue;
    if (auto volume = load(dir, item.name)) volumes.push_back(std::move(*volume));
  }
  return volumes;
}

Result<void> make(const std::string& dir, const VolumeInfo& volume) {
  std::string base = dir + "/" + volume.name;
  TRY(os::make_dir(base, 0701));
  TRY(os::write_file_atomic(base + "/volume.json", record_text(volume), 0600));
  TRY(os::make_dir(volume.path, 0755));
  return os::change_mode(volume.path, 0755);  // whatever the umask
}

Result<void> destroy(const std::string& dir, const VolumeInfo& volume) {
  TRY(os::umount_all(volume.path));
  std::string doomed = dir + "/.removing-" + hex_encode(random_bytes(8));
  TRY(os::rename_file(dir + "/" + volume.name, doomed));
  return os::remove_all(doomed);
}

Result<void> mount_volume(const VolumeInfo& volume) {
  MountOptions options = TRY(parse_mount_options(volume.options));
  if (TRY(os::is_mount_point(volume.path))) return {};  // from an earlier run
  if (options.type.starts_with("nfs") || options.type == "cifs") options.data = TRY(resolve_address(options.data));
  std::string source = options.device;
  // NFS takes ":/path" with addr= beside it.
  auto mounted = os::mount(source, volume.path, options.type, options.flags, options.data);
  if (!mounted) {
    mounted.error().message = "failed to mount local volume: mount " + options.device + ":" + volume.path + ", data: " + options.data +
                              ": " + strerror(mounted.error().sys);
    mounted.error().code = Code::internal;  // as a "not found" it would be taken for the image
    return mounted;
  }
  // mount(2) ignores other flags while it binds.
  if ((options.flags & MS_BIND) && (options.flags & ~(MS_BIND | MS_REC))) TRY(os::mount("", volume.path, "", options.flags | MS_REMOUNT));
  if (options.propagation) TRY(os::mount("", volume.path, "", options.propagation));
  return {};
}

}  // namespace

struct Volumes::Impl {
  struct Known {
    VolumeInfo info;
    std::set<std::string> references, mounted;
  };

  explicit Impl(std::string data_dir) : dir(std::move(data_dir) + "/volumes") {}

  Task<Result<void>> start();
  Task<Result<Created>> create(VolumeSpec spec);
  Task<Result<void>> remove(std::string name, bool force);
  Task<Result<Pruned>> prune(UniqueFunction<bool(const VolumeInfo&)> chosen);
  Task<Result<std::string>> mount(std::string name, std::string container_id);
  Task<Result<void>> unmount(std::string name, std::string container_id);
  Task<Result<void>> copy_up(std::string name, std::string root, std::string path);
  Result<Known*> known(std::string_view name);
  static VolumeInfo describe(const Known& known);

  std::string dir;
  std::map<std::string, Known, std::less<>> volumes;
  io::Pool pool{1};
  Turns turns;  // last: ends first
};

Volumes::Volumes(std::string data_dir) : impl_(std::make_unique<Impl>(std::move(data_dir))) {}
Volumes::~Volumes() = default;

Result<Volumes::Impl::Known*> Volumes::Impl::known(std::string_view name) {
  auto found = volumes.find(name);
  if (found == volumes.end()) return fail(Code::not_found, "get " + std::string(name) + ": no such volume");
  return &found->second;
}

VolumeInfo Volumes::Impl::describe(const Known& known) {
  VolumeInfo info = known.info;
  info.containers.assign(known.references.begin(), known.references.end());
  return info;
}

Task<Result<void>> Volumes::Impl::start() {
  auto loaded = CO_TRY_AS("read the volumes", co_await pool.run([dir = dir] { return load_all(dir); }));
  for (VolumeInfo& info : loaded) volumes[info.name].info = std::move(info);
  co_return {};
}

Task<Result<Volumes::Created>> Volumes::Impl::create(VolumeSpec spec) {
  if (spec.name.empty()) {
    spec.name = hex_encode(random_bytes(32));
    spec.labels.emplace(kAnonymous, "");
  }
  std::string what = "create " + spec.name;
  if (spec.driver.empty() || spec.driver == "default") spec.driver = "local";
  if (spec.driver != "local")
    co_return fail(Code::not_found,
                   what + ": error looking up volume plugin " + spec.driver + ": plugin " + quoted(spec.driver) + " not found");
  if (auto found = volumes.find(spec.name); found != volumes.end()) co_return Created{describe(found->second), false};
  CO_TRY_AS(what, check_name(spec.name));
  CO_TRY_AS(what, parse_mount_options(spec.options));

  VolumeInfo info;
  static_cast<VolumeSpec&>(info) = std::move(spec);
  info.path = dir + "/" + info.name + "/_data";
  info.created = Executor::current()->wall_now();
  CO_TRY_AS(what, co_await pool.run([dir = dir, info] { return make(dir, info); }));
  Known& fresh = volumes[info.name];
  fresh.info = info;
  co_return Created{std::move(info), true};
}

Task<Result<void>> Volumes::Impl::remove(std::string name, bool force) {
  auto found = known(name);
  if (!found && force) co_return {};
  VolumeInfo info = describe(*CO_TRY(std::move(found)));
  if (!info.containers.empty())
    co_return fail(Code::conflict, "remove " + name + ": volume is in use - [" + join(info.containers, ", ") + "]");
  CO_TRY_AS("remove " + name, co_await pool.run([dir = dir, info] { return destroy(dir, info); }));
  volumes.erase(name);
  co_return {};
}

Task<Result<Volumes::Pruned>> Volumes::Impl::prune(UniqueFunction<bool(const VolumeInfo&)> chosen) {
  std::vector<VolumeInfo> doomed;
  for (const auto& [name, known] : volumes)
    if (known.references.empty() && chosen(known.info)) doomed.push_back(known.info);
  Pruned pruned;
  for (const VolumeInfo& info : doomed) {
    auto bytes = co_await pool.run([path = info.path] { return tree_size(path); });
    auto removed = co_await remove(info.name, true);
    if (!removed) {
      log::warn("volume", "an unused volume could not be removed", {{"volume", info.name}, {"error", removed.error()}});
      continue;
    }
    pruned.names.push_back(info.name);
    pruned.bytes += bytes.value_or(0);
  }
  co_return pruned;
}

Task<Result<std::string>> Volumes::Impl::mount(std::string name, std::string container_id) {
  Known& volume = *CO_TRY(known(name));  // removal waits for its turn
  VolumeInfo info = volume.info;
  if (!info.options.empty())
    CO_TRY_AS("error while mounting volume '" + info.path + "'", co_await pool.run([info] { return mount_volume(info); }));
  volume.mounted.insert(container_id);
  co_return info.path;
}

Task<Result<void>> Volumes::Impl::unmount(std::string name, std::string container_id) {
  auto found = volumes.find(name);
  if (found == volumes.end() || !found->second.mounted.erase(container_id)) co_return {};
  const VolumeInfo& info = found->second.info;
  if (info.options.empty() || !found->second.mounted.empty()) co_return {};
  co_return co_await pool.run([path = info.path] { return os::umount_all(path); });
}

static Result<void> copy(const std::string& volume, const std::string& root, const std::string& path) {
  Fd to = TRY(os::open_file(volume, O_RDONLY | O_DIRECTORY));
  if (!TRY(is_empty_dir(to.get()))) return {};
  Fd base = TRY(os::open_file(root, O_PATH | O_DIRECTORY));
  auto from = os::open_in_root(base.get(), path, O_RDONLY | O_DIRECTORY);
  // Nothing there, or a file: the volume stays empty.
  if (!from)
    return from.error().sys == ENOENT || from.error().sys == ENOTDIR ? Result<void>()
                                                                     : Result<void>(std::unexpected(std::move(from.error())));
  return copy_tree(from->get(), to.get());
}

Task<Result<void>> Volumes::Impl::copy_up(std::string name, std::string root, std::string path) {
  std::string volume = CO_TRY(known(name))->info.path;
  co_return within("copy " + path + " of the image to the volume " + name, co_await pool.run([=] { return copy(volume, root, path); }));
}

// --- the door --------------------------------------------------------------------------------------------------------

Task<Result<void>> Volumes::start() { return impl_->turns.run(impl_->start()); }
Task<Result<Volumes::Created>> Volumes::create(VolumeSpec spec) { return impl_->turns.run(impl_->create(std::move(spec))); }
Task<Result<void>> Volumes::remove(std::string name, bool force) { return impl_->turns.run(impl_->remove(std::move(name), force)); }
Task<Result<Volumes::Pruned>> Volumes::prune(UniqueFunction<bool(const VolumeInfo&)> chosen) {
  return impl_->turns.run(impl_->prune(std::move(chosen)));
}
Task<Result<std::string>> Volumes::mount(std::string name, std::string container_id) {
  return impl_->turns.run(impl_->mount(std::move(name), std::move(container_id)));
}
Task<Result<void>> Volumes::unmount(std::string name, std::string container_id) {
  return impl_->turns.run(impl_->unmount(std::move(name), std::move(container_id)));
}
Task<Result<void>> Volumes::copy_up(std::string name, std::string root, std::string path) {
  return impl_->turns.run(impl_->copy_up(std::move(name), std::move(root), std::move(path)));
}

Result<VolumeInfo> Volumes::find(std::string_view name) const { return Impl::describe(*TRY(impl_->known(name))); }

std::vector<VolumeInfo> Volumes::list() const {
  std::vector<VolumeInfo> all;
  for (const auto& [name, known] : impl_->volumes) all.push_back(Impl::describe(known));
  return all;
}

Task<std::map<std::string, uint64_t>> Volumes::sizes() {
  std::vector<std::pair<std::string, std::string>> paths;
  for (const auto& [name, known] : impl_->volumes) paths.emplace_back(name, known.info.path);
  co_return co_await io::Pool::shared().run([paths = std::move(paths)] {
    std::map<std::string, uint64_t> sizes;
    for (const auto& [name, path] : paths) sizes[name] = tree_size(path).value_or(0);
    return sizes;
  });
}

Result<void> Volumes::refer(std::string_view name, const std::string& container_id) {
  TRY(impl_->known(name))->references.insert(container_id);
  return {};
}

void Volumes::forget(std::string_view name, const std::string& container_id) {
  auto found = impl_->volumes.find(name);
  if (found != impl_->volumes.end()) found->second.references.erase(container_id);
}

}  // namespace estiba::volume
