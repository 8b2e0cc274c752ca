// The blocking halves of the engine's work, run on the pool.
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/signals.h"
#include "base/strings.h"
#include "engine/bundle.h"
#include "engine/engine_impl.h"
#include "engine/files.h"
#include "image/overlay.h"
#include "volume/directory.h"
#include "volume/shared_memory.h"

namespace estiba::engine {
namespace {

// Whom the containers' root is outside.
std::optional<std::pair<uid_t, gid_t>> root_outside(const UserNamespace& users) {
  auto first = [](const std::vector<UserNamespace::Range>& ranges) -> std::optional<uint32_t> {
    for (const auto& range : ranges)
      if (range.inside == 0) return range.outside;
    return std::nullopt;
  };
  const auto uid = first(users.uids), gid = first(users.gids);
  return uid && gid ? std::optional(std::pair<uid_t, gid_t>(*uid, *gid)) : std::nullopt;
}

Result<void> fill_pod(const Paths& paths, const SandboxRecord& record, const SandboxSpec& spec) {
  const std::string files = paths.files(record.uid);
  TRY(make_dirs(paths.pods(), 0700));
  TRY(make_dirs(paths.pod(record.uid), 0700));
  TRY(make_dirs(files + "/containers", 0700));
  TRY(save(paths, record));
  if (!spec.resolv_conf.empty()) TRY(write_file(files + "/resolv.conf", spec.resolv_conf, 0644));
  if (!spec.hosts.empty()) TRY(write_file(files + "/hosts", spec.hosts, 0644));
  if (!spec.hostname.empty()) TRY(write_file(files + "/hostname", spec.hostname + "\n", 0644));
  if (!spec.host_ipc && spec.shm_bytes) {
    TRY(volume::mount_memory(files + "/shm", spec.shm_bytes));
    if (const auto root = root_outside(spec.users); root && ::chown((files + "/shm").c_str(), root->first, root->second) < 0)
      return fail_errno("chown of " + files + "/shm");
  }
  if (!spec.log_dir.empty()) TRY(make_dirs(spec.log_dir));
  return {};
}

Result<void> check_ids(const UserNamespace& users, const Identity& identity) {
  if (!users) return {};
  auto check = [](const char* what, uint32_t id, const std::vector<UserNamespace::Range>& ranges) -> Result<void> {
    if (std::any_of(ranges.begin(), ranges.end(), [&](const auto& range) { return id >= range.inside && id - range.inside < range.size; }))
      return {};
    return failed(reason::create_container_config, Code::invalid,
                  std::string(what) + " " + std::to_string(id) + " is not among the ids of the user namespace that the container runs in");
  };
  TRY(check("user", identity.uid, users.uids));
  TRY(check("group", identity.gid, users.gids));
  for (uint32_t gid : identity.groups) TRY(check("supplementary group", gid, users.gids));
  return {};
}

/// The mounted root of a container, and the configuration of its image.
struct Root {
  std::string path;
  std::shared_ptr<const image::Config> config = std::make_shared<image::Config>();
  std::string image_id, image_ref;
};

Result<Root> open_root(const Workshop& with, const ContainerSpec& spec, const std::string& users) {
  Root out;
  const std::string dir = with.paths.container(spec.id);
  if (spec.keep_root && !users.empty()) return fail(Code::unsupported, "a root that is kept cannot be one of a user namespace");
  if (spec.keep_root) {
    out.image_id = TRY(with.roots.image(spec.id));
    out.config = TRY(with.store.config(out.image_id));
    auto record = TRY(with.store.find(out.image_id));
    out.image_ref = !record || record->digests.empty() ? out.image_id : record->digests.front();
    out.path = TRY(with.roots.hold(spec.id));
    return out;
  }
  if (with.roots.kept(spec.id)) return fail(Code::already_exists, "container " + spec.id + " has a root that is kept");
  if (spec.image.empty()) {
    out.path = TRY(image::mount_container_root(spec.layers, dir, spec.upper_dir, image::Writes::passing, users));
    return out;
  }
  image::Record record = TRY(with.store.use(spec.id, spec.image));
  out.config = TRY(with.store.config(record.id));
  TRY_AS("image " + spec.image, with.store.unpack_layers(TRY(with.store.manifest(record)), *out.config));
  out.path = TRY(image::mount_container_root(TRY(with.roots.layers(*out.config, spec.id)), dir, {}, image::Writes::passing, users));
  out.image_id = record.id;
  out.image_ref = record.digests.empty() ? record.id : record.digests.front();
  return out;
}

/// Mounts the images that are mounted in it, and says where they are.
Result<void> open_images(const Workshop& with, ContainerSpec& spec, const std::string& users) {
  size_t place = 0;
  for (Mount& mount : spec.mounts) {
    if (mount.image.empty()) continue;
    const std::string what = "image " + quoted(mount.image) + " for " + mount.container_path;
    const std::string root = TRY_AS(what, with.roots.mount_image(spec.id, place++, mount.image, users));
    mount.host_path = mount.sub_path.empty() ? root : TRY_AS(what, volume::resolve_sub_path(root, mount.sub_path, false));
    mount.readonly = true;
  }
  return {};
}

Result<ContainerRecord> fill_container(const Workshop& with, const SandboxRecord& sandbox, const ContainerSpec& spec,
                                       ContainerRecord record) {
  const std::string bundle = with.paths.bundle(sandbox.uid, spec.id);
  TRY(make_dirs(bundle, 0700));
  TRY(save(with.paths, record));
  Root root = TRY(open_root(with, spec, sandbox.users.path));
  auto work = [&]() -> Result<void> {
    constexpr uint64_t limit = 4 << 20;
    std::string passwd = TRY(image::read_in_root(root.path, "/etc/passwd", limit));
    std::string group = TRY(image::read_in_root(root.path, "/etc/group", limit));
    Identity identity = TRY(resolve_user(spec.user, root.config->user, passwd, group));
    TRY(check_ids(sandbox.users, identity));
    record.status.user = {identity.uid, identity.gid, identity.groups};
    ContainerSpec with_images;
    const bool images = std::any_of(spec.mounts.begin(), spec.mounts.end(), [](const Mount& mount) { return !mount.image.empty(); });
    if (images) {
      with_images = spec;
      TRY(open_images(with, with_images, sandbox.users.path));
    }
    const std::string& files = spec.files_dir.empty() ? with.paths.files(sandbox.uid) : spec.files_dir;
    std::string text = TRY(
        bundle_config({sandbox, images ? with_images : spec, *root.config, identity, root.path, files,
                       with.paths.files(sandbox.uid) + "/shm", with.oci_program, TRY(cdi_edits(spec.cdi_devices, with.cdi_spec_dirs))}));
    return write_file(bundle + "/config.json", text);
  };
  if (auto done = work(); !done) {
    if (spec.keep_root) with.roots.release(spec.id);
    return std::unexpected(std::move(done.error()));
  }
  record.status.image_id = root.image_id;
  record.status.image_ref = root.image_ref;
  record.status.stop_signal = spec.stop_signal ? spec.stop_signal : signal_number(root.config->stop_signal).value_or(SIGTERM);
  record.phase = ContainerRecord::Phase::created;
  auto finish = [&]() -> Result<void> {
    if (!record.status.log_path.empty()) TRY(make_dirs(record.status.log_path.substr(0, record.status.log_path.rfind('/'))));
    return save(with.paths, record);
  };
  if (auto done = finish(); !done) {
    if (spec.keep_root) with.roots.release(spec.id);
    return std::unexpected(std::move(done.error()));
  }
  return record;
}

/// Removes what prepare_container has made, but for a root that is kept.
Result<void> remove_files(const Paths& paths, Roots& roots, ContainerRecord record) {
  const std::string bundle = paths.bundle(record.status.pod_uid, record.status.id);
  // From here on a restart goes on clearing.
  record.phase = ContainerRecord::Phase::creating;
  (void)save(paths, record);
  if (!record.keep_root) TRY(roots.discard(record.status.id));
  TRY(roots.discard_images(record.status.id));
  return image::remove_container_root(bundle);
}

}  // namespace

Result<void> save(const Paths& paths, const SandboxRecord& record) {
  return write_file(paths.files(record.uid) + "/sandbox.json", print_record(record));
}

Result<void> save(const Paths& paths, const ContainerRecord& record) {
  return write_file(paths.bundle(record.status.pod_uid, record.status.id) + "/container.json", print_record(record));
}

Result<void> prepare_pod(const Paths& paths, const SandboxRecord& record, const SandboxSpec& spec) {
  auto done = fill_pod(paths, record, spec);
  if (!done) {
    (void)volume::unmount_memory(paths.files(record.uid) + "/shm");
    (void)image::remove_container_root(paths.pod(record.uid));
  }
  return done;
}

Result<void> clear_pod(const Paths& paths, Roots& roots, const std::string& uid, const std::vector<std::string>& containers) {
  Result<void> first;
  auto note = [&](Result<void> done) {
    if (!done && first) first = std::move(done);
  };
  for (const auto& id : containers) {
    if (roots.kept(id)) roots.release(id);
    else note(roots.discard(id));
    note(roots.discard_images(id));
  }
  note(volume::unmount_memory(paths.files(uid) + "/shm"));
  if (first) note(image::remove_container_root(paths.pod(uid)));
  return first;
}

Result<ContainerRecord> prepare_container(const Workshop& with, const SandboxRecord& sandbox, const ContainerSpec& spec,
                                          ContainerRecord record) {
  auto done = fill_container(with, sandbox, spec, record);
  if (done) return done;
  if (with.roots.kept(spec.id)) record.keep_root = true;
  (void)remove_files(with.paths, with.roots, std::move(record));
  return done;
}

Result<void> clear_container(const Paths& paths, Roots& roots, ContainerRecord record) {
  const bool kept = record.keep_root;
  const std::string id = record.status.id;
  TRY(remove_files(paths, roots, std::move(record)));
  if (kept) roots.release(id);
  return {};
}

}  // namespace estiba::engine
