// The blocking halves of the engine's work, run on the pool.
#include <csignal>

#include "base/strings.h"
#include "engine/bundle.h"
#include "engine/engine_impl.h"
#include "engine/files.h"
#include "image/overlay.h"
#include "volume/shared_memory.h"

namespace estiba::engine {
namespace {

constexpr uint64_t shm_bytes = 64 << 20;  // what Docker and containerd give

/// "SIGTERM", "TERM", "15" → 15; 0 when it is none.
int signal_number(std::string_view text) {
  if (auto number = parse_number<int>(text)) return *number;
  if (text.starts_with("SIG")) text.remove_prefix(3);
  constexpr std::pair<std::string_view, int> names[] = {{"HUP", SIGHUP},     {"INT", SIGINT},   {"QUIT", SIGQUIT}, {"KILL", SIGKILL},
                                                        {"USR1", SIGUSR1},   {"USR2", SIGUSR2}, {"TERM", SIGTERM}, {"STOP", SIGSTOP},
                                                        {"WINCH", SIGWINCH}, {"ABRT", SIGABRT}};
  for (const auto& [name, number] : names)
    if (name == text) return number;
  if (text.starts_with("RTMIN")) return SIGRTMIN + parse_number<int>(text.substr(text.size() > 6 ? 6 : 5)).value_or(0);
  return 0;
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
  if (!spec.host_ipc) TRY(volume::mount_memory(files + "/shm", shm_bytes));
  if (!spec.log_dir.empty()) TRY(make_dirs(spec.log_dir));
  return {};
}

Result<ContainerRecord> fill_container(image::Store& store, const Paths& paths, const SandboxRecord& sandbox, const ContainerSpec& spec,
                                       ContainerRecord record) {
  const std::string bundle = paths.bundle(sandbox.uid, spec.id);
  TRY(make_dirs(bundle, 0700));
  TRY(save(paths, record));
  image::Record image = TRY(store.use(spec.id, spec.image));
  auto config = TRY(store.config(image.id));
  TRY_AS("image " + spec.image, store.unpack_layers(TRY(store.manifest(image)), *config));
  std::string root = TRY(image::mount_container_root(store.layer_paths(*config), paths.container(spec.id)));
  constexpr uint64_t limit = 4 << 20;
  std::string passwd = TRY(image::read_in_root(root, "/etc/passwd", limit));
  std::string group = TRY(image::read_in_root(root, "/etc/group", limit));
  Identity identity = TRY(resolve_user(spec.user, config->user, passwd, group));
  std::string text = TRY(bundle_config({sandbox, spec, *config, identity, root, paths.files(sandbox.uid)}));
  TRY(write_file(bundle + "/config.json", text));
  record.status.image_id = image.id;
  record.status.image_ref = image.digests.empty() ? image.id : image.digests.front();
  record.stop_signal = spec.stop_signal ? spec.stop_signal : signal_number(config->stop_signal);
  if (record.stop_signal == 0) record.stop_signal = SIGTERM;
  if (!record.status.log_path.empty()) TRY(make_dirs(record.status.log_path.substr(0, record.status.log_path.rfind('/'))));
  record.phase = ContainerRecord::Phase::created;
  TRY(save(paths, record));
  return record;
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
  if (!done) (void)clear_pod(paths, record.uid, {});
  return done;
}

Result<void> clear_pod(const Paths& paths, const std::string& uid, const std::vector<std::string>& containers) {
  Result<void> first;
  auto note = [&](Result<void> done) {
    if (!done && first) first = std::move(done);
  };
  for (const auto& id : containers) note(image::remove_container_root(paths.container(id)));
  note(volume::unmount_memory(paths.files(uid) + "/shm"));
  if (first) note(image::remove_container_root(paths.pod(uid)));
  return first;
}

Result<ContainerRecord> prepare_container(image::Store& store, const Paths& paths, const SandboxRecord& sandbox, const ContainerSpec& spec,
                                          ContainerRecord record) {
  auto done = fill_container(store, paths, sandbox, spec, record);
  if (!done) (void)clear_container(paths, std::move(record));
  return done;
}

Result<void> clear_container(const Paths& paths, ContainerRecord record) {
  const std::string bundle = paths.bundle(record.status.pod_uid, record.status.id);
  // From here on a restart goes on clearing.
  record.phase = ContainerRecord::Phase::creating;
  (void)save(paths, record);
  TRY(image::remove_container_root(paths.container(record.status.id)));
  return image::remove_container_root(bundle);
}

}  // namespace estiba::engine
