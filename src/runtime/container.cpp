#include "runtime/container.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>

#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "model/json.h"
#include "os/file.h"
#include "os/process.h"
#include "runtime/decode.h"
#include "runtime/hooks.h"
#include "runtime/systemd_scope.h"

namespace estiba::runtime {

namespace {

constexpr const char* own_parent = "/estiba-oci";  // of containers whose config names no group

std::string directory(const std::string& root, const std::string& id) { return root + "/" + id; }

Result<void> check_id(const std::string& id) {
  bool good = !id.empty() && id.size() <= 1024 && id != "." && id != "..";
  for (char c : id) good = good && (isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '+' || c == '-' || c == '.');
  if (!good) return fail(Code::invalid, "container id " + quoted(id) + " must be of letters, digits, _, +, - and .");
  return {};
}

Result<void> save(const std::string& root, const ContainerState& state) {
  json::Document document;
  json::Node& node = document.make_object();
  document.set(node, "ociVersion", std::string_view("1.2.0"));
  document.set(node, "id", state.id);
  document.set(node, "pid", document.make_int(state.pid));
  document.set(node, "startTime", document.make_int(int64_t(state.pid_start_time)));
  document.set(node, "bundle", state.bundle);
  document.set(node, "created", state.created);
  document.set(node, "cgroup", state.cgroup);
  if (!state.unit.empty()) document.set(node, "systemdUnit", state.unit);
  document.set(node, "owner", document.make_int(state.owner));
  return os::write_file_atomic(directory(root, state.id) + "/state.json", json::print(node), 0600, false);
}

std::string now_text() { return format_rfc3339_nano(std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now())); }

bool same_process_alive(const ContainerState& state) {
  auto time = os::start_time(state.pid);
  return time && *time == state.pid_start_time && os::alive(state.pid);
}

os::CgroupResources resources_of(const Spec& spec) { return spec.linux_.resources.value_or(os::CgroupResources{}); }

Result<void> make_cgroup(const os::Cgroup& group, const Spec& spec) {
  TRY(group.create());
  auto applied = group.apply(with_usual_devices(resources_of(spec), spec));
  if (!applied) {
    (void)group.remove();
    return std::unexpected(std::move(applied.error()).context("linux.resources"));
  }
  return {};
}

Result<void> stop_unit(const std::string& unit) { return TRY(Systemd::connect()).stop(unit); }

// What create has made so far; undone unless it succeeds.
struct Undo {
  std::string dir;
  std::optional<os::Cgroup> cgroup;
  std::string unit;
  bool keep = false;
  ~Undo() {
    if (keep) return;
    if (!unit.empty()) (void)stop_unit(unit);
    if (cgroup) (void)cgroup->remove();
    (void)os::remove_all(dir);
  }
};

// Has systemd make a scope with the process in it, and writes the rest into the files of its group.
Result<void> make_scope(const ScopeName& name, const std::string& id, const Spec& spec, pid_t pid, Undo& undo) {
  const os::CgroupResources resources = with_usual_devices(resources_of(spec), spec);
  const auto properties = TRY(unit_properties(resources, TRY(os::cgroup_host())->mode));
  TRY(TRY(Systemd::connect()).start_scope(name, "estiba-oci container " + id, pid, properties));
  undo.unit = name.unit;
  const os::Cgroup group = TRY(os::Cgroup::at(TRY(group_of_unit(pid, name.unit))));
  undo.cgroup = group;
  TRY(group.create());  // version 1: systemd has it in its own hierarchies alone
  return within("linux.resources", group.apply(resources));
}

Result<void> finish_create(const CreateOptions& options, Container& container, const Undo& made) {
  container.state.pid = container.process.pid;
  container.state.pid_start_time = TRY(os::start_time(container.process.pid));
  container.state.created = now_text();
  container.state.cgroup = made.cgroup ? made.cgroup->path() : "";
  container.state.unit = made.unit;
  container.state.owner = getuid();
  TRY(save(options.root, container.state));
  if (!options.pid_file.empty()) TRY(os::write_file_atomic(options.pid_file, std::to_string(container.process.pid), 0644, false));
  return {};
}

}  // namespace

std::string cgroup_path_for(const Spec& spec, const std::string& id) {
  const std::string& path = spec.linux_.cgroups_path;
  if (path.empty()) return std::string(own_parent) + "/" + id;
  auto parts = split(path, ':');
  if (parts.size() == 3 && path[0] != '/') {
    std::string slice = parts[0].empty() ? std::string("system.slice") : std::string(parts[0]);
    std::string out;
    // systemd nests "a-b.slice" in "a.slice".
    for (size_t dash = slice.find('-'); dash != std::string::npos; dash = slice.find('-', dash + 1))
      out += "/" + slice.substr(0, dash) + ".slice";
    out += "/" + slice + "/";
    if (!parts[1].empty()) out += std::string(parts[1]) + "-";
    return out + std::string(parts[2]) + ".scope";
  }
  return path[0] == '/' ? path : std::string(own_parent) + "/" + path;
}

os::CgroupResources with_usual_devices(os::CgroupResources resources, const Spec& spec) {
  if (resources.devices.empty()) return resources;
  auto allow = [&](char type, std::optional<int64_t> major, std::optional<int64_t> minor, const char* access) {
    resources.devices.push_back({true, type, major, minor, access});
  };
  // mknod of anything is harmless where opening is not allowed.
  allow('c', {}, {}, "m");
  allow('b', {}, {}, "m");
  for (int64_t minor : {3, 5, 7, 8, 9}) allow('c', 1, minor, "rwm");
  for (int64_t minor : {0, 1, 2}) allow('c', 5, minor, "rwm");
  allow('c', 136, {}, "rwm");
  for (const SpecDevice& device : spec.linux_.devices) {
    if (device.type != 'p') allow(device.type == 'u' ? 'c' : device.type, device.major, device.minor, "rwm");
  }
  return resources;
}

Result<Container> create(const CreateOptions& options) {
  TRY(check_id(options.id));
  Container container;
  std::string text = TRY(os::read_file(options.bundle + "/config.json"));
  container.spec = TRY(within(options.bundle + "/config.json", parse_spec(text)));
  if (!container.spec.has_process) return fail(Code::invalid, "process: is required to create a container");
  if (container.spec.process.terminal && !options.attached && options.console_socket.empty()) {
    return fail(Code::invalid, "process.terminal is set, so --console-socket must say where the terminal goes");
  }
  std::string dir = directory(options.root, options.id);
  TRY(os::make_dirs(options.root, 0711));
  if (mkdir(dir.c_str(), 0711) < 0) {
    if (errno == EEXIST) return fail(Code::already_exists, "container " + options.id + " already exists");
    return fail_errno("mkdir " + dir);
  }
  Undo undo{dir, {}};
  container.state.id = options.id;
  container.state.bundle = options.bundle;
  std::optional<os::Cgroup> group;
  std::optional<ScopeName> scope;
  if (options.systemd_cgroup && !options.no_cgroup) scope = TRY(scope_name(container.spec.linux_.cgroups_path, options.id));
  else if (!options.no_cgroup) group = TRY(os::Cgroup::at(cgroup_path_for(container.spec, options.id)));
  LaunchOptions launch_options{.id = options.id,
                               .bundle = options.bundle,
                               .spec = &container.spec,
                               .process = &container.spec.process,
                               .cgroup = group,
                               .cgroup_by_pid = scope.has_value(),
                               .preserve_fds = options.preserve_fds,
                               .no_pivot = options.no_pivot};
  for (int i = 0; i < 3; i++) launch_options.stdio[i] = options.stdio[i];
  if (!options.attached) {
    launch_options.exec_fifo = dir + "/exec.fifo";
    TRY(os::make_fifo(launch_options.exec_fifo, 0622));
    TRY(os::change_mode(launch_options.exec_fifo, 0622));
  }
  os::Fd console;
  if (!options.console_socket.empty()) {
    console = TRY(os::connect_unix(options.console_socket, SOCK_STREAM));
    launch_options.console_socket = console.get();
  }
  container.process = TRY(launch(launch_options, [&](std::optional<os::Cgroup>& its, pid_t pid) -> Result<void> {
    // Nobody reads it before there is a state.
    TRY(os::write_file(dir + "/config.json", text, O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    if (scope) {
      TRY(make_scope(*scope, options.id, container.spec, pid, undo));
      its = undo.cgroup;
      return {};
    }
    if (its) TRY(make_cgroup(*its, container.spec));
    undo.cgroup = its;
    return {};
  }));
  if (auto done = finish_create(options, container, undo); !done) {
    (void)os::send_signal(container.process.pid, SIGKILL);
    (void)os::wait_child(container.process.pid);
    return std::unexpected(std::move(done.error()));
  }
  undo.keep = true;
  return container;
}

Result<ContainerState> load(const std::string& root, const std::string& id) {
  TRY(check_id(id));
  auto text = os::read_file(directory(root, id) + "/state.json");
  if (!text && text.error().sys == ENOENT) return fail(Code::not_found, "container " + id + " does not exist");
  if (!text) return std::unexpected(std::move(text.error()));
  json::Document document = TRY(within("state of " + id, json::Document::parse(*text)));
  const json::Node& node = document.root();
  ContainerState state;
  TRY(read(node, "id", "", state.id));
  TRY(read(node, "pid", "", state.pid));
  TRY(read(node, "startTime", "", state.pid_start_time));
  TRY(read(node, "bundle", "", state.bundle));
  TRY(read(node, "created", "", state.created));
  TRY(read(node, "cgroup", "", state.cgroup));
  TRY(read(node, "systemdUnit", "", state.unit));
  TRY(read(node, "owner", "", state.owner));
  return state;
}

Result<Spec> load_spec(const std::string& root, const std::string& id) {
  return parse_spec(TRY(os::read_file(directory(root, id) + "/config.json")));
}

Result<std::vector<ContainerState>> list(const std::string& root) {
  std::vector<ContainerState> out;
  if (!os::exists(root)) return out;
  for (const os::DirEntry& entry : TRY(os::list_dir(root))) {
    // One that is just being created or removed has no state.
    if (auto state = load(root, entry.name)) out.push_back(std::move(*state));
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return out;
}

Result<std::string> container_status(const std::string& root, const ContainerState& state) {
  if (!same_process_alive(state)) return std::string("stopped");
  if (os::exists(directory(root, state.id) + "/exec.fifo")) return std::string("created");
  if (!state.cgroup.empty()) {
    auto frozen = TRY(os::Cgroup::at(state.cgroup)).frozen();
    if (frozen && *frozen) return std::string("paused");
  }
  return std::string("running");
}

Result<void> after_start(const ContainerState& state, const Spec& spec) {
  if (spec.hooks.poststart.empty()) return {};
  return run_hooks("poststart", spec.hooks.poststart, state_json(state.id, "running", state.pid, state.bundle, spec));
}

Result<void> start(const std::string& root, const std::string& id) {
  ContainerState state = TRY(load(root, id));
  std::string status = TRY(container_status(root, state));
  if (status != "created") return fail(Code::conflict, "cannot start container " + id + ": it is " + status);
  std::string fifo = directory(root, id) + "/exec.fifo";
  auto started = start_by_fifo(fifo);
  TRY(os::remove_file(fifo));
  TRY(std::move(started));
  return after_start(state, TRY(load_spec(root, id)));
}

Result<void> kill(const std::string& root, const std::string& id, int signal, bool all) {
  ContainerState state = TRY(load(root, id));
  if (all && !state.cgroup.empty()) {
    os::Cgroup group = TRY(os::Cgroup::at(state.cgroup));
    if (signal == SIGKILL) return group.kill_all();
    for (pid_t pid : TRY(group.pids(true))) (void)os::send_signal(pid, signal);
    return {};
  }
  if (!same_process_alive(state)) return fail(Code::not_found, "container " + id + " is not running");
  os::Fd pidfd = TRY(os::pidfd_open(state.pid));
  return os::send_signal(pidfd, state.pid, signal);
}

Result<void> remove(const std::string& root, const std::string& id, bool force) {
  auto loaded = load(root, id);
  if (!loaded && force && loaded.error().code == Code::not_found) {
    TRY(check_id(id));
    return os::remove_all(directory(root, id));
  }
  ContainerState state = TRY(std::move(loaded));
  std::string status = TRY(container_status(root, state));
  if (status != "stopped") {
    // A created one has run nothing of its own yet; runc removes it without being forced, too.
    if (!force && status != "created")
      return fail(Code::conflict, "cannot delete container " + id + ": it is " + status + "; stop it first or use --force");
    os::Fd pidfd = TRY(os::pidfd_open(state.pid));
    if (status == "paused") TRY(resume(root, id));
    (void)os::send_signal(pidfd, state.pid, SIGKILL);
    TRY(os::await_exit(pidfd, state.pid, 10000));
  }
  if (!state.cgroup.empty()) {
    os::Cgroup group = TRY(os::Cgroup::at(state.cgroup));
    if (group.exists()) TRY(group.kill_all());
    // If systemd does not answer, the group goes all the same; the container stays, to be deleted again.
    const auto stopped = state.unit.empty() ? Result<void>() : stop_unit(state.unit);
    if (group.exists()) TRY(group.remove());
    if (!stopped) return stopped;
    if (state.cgroup.starts_with(own_parent)) TRY(os::Cgroup::at(own_parent)).remove_if_empty();
  }
  auto spec = load_spec(root, id);
  if (spec && !spec->hooks.poststop.empty()) {
    auto ran = run_hooks("poststop", spec->hooks.poststop, state_json(id, "stopped", 0, state.bundle, *spec));
    if (!ran) log::warn("runtime", "poststop hook failed", {{"id", id}, {"error", ran.error()}});
  }
  return os::remove_all(directory(root, id));
}

namespace {
Result<os::Cgroup> group_of(const ContainerState& state) {
  if (state.cgroup.empty()) return fail(Code::unsupported, "container " + state.id + " has no cgroup");
  return os::Cgroup::at(state.cgroup);
}
Result<os::Cgroup> group_of(const std::string& root, const std::string& id) { return group_of(TRY(load(root, id))); }

// For systemd quota and period come together; the one that is not given stays as it is.
os::CgroupResources with_present_quota(os::CgroupResources resources, const os::Cgroup& group) {
  if (resources.cpu_quota_us.has_value() == resources.cpu_period_us.has_value()) return resources;
  std::string text = os::read_file(group.directory("cpu") + "/cpu.max").value_or("");
  if (text.empty()) {
    text = os::read_file(group.directory("cpu") + "/cpu.cfs_quota_us").value_or("-1") + " " +
           os::read_file(group.directory("cpu") + "/cpu.cfs_period_us").value_or("");
  }
  auto [quota, period] = split_once(trim(text), ' ');
  if (!resources.cpu_quota_us) resources.cpu_quota_us = parse_number<int64_t>(trim(quota)).value_or(-1);
  else resources.cpu_period_us = parse_number<uint64_t>(trim(period.value_or("")));
  return resources;
}
}  // namespace

Result<void> pause(const std::string& root, const std::string& id) { return TRY(group_of(root, id)).freeze(); }
Result<void> resume(const std::string& root, const std::string& id) { return TRY(group_of(root, id)).thaw(); }
Result<void> update(const std::string& root, const std::string& id, const os::CgroupResources& resources) {
  const ContainerState state = TRY(load(root, id));
  const os::Cgroup group = TRY(group_of(state));
  if (!state.unit.empty()) {
    const auto properties = TRY(unit_properties(with_present_quota(resources, group), TRY(os::cgroup_host())->mode));
    TRY(TRY(Systemd::connect()).set_properties(state.unit, properties));
  }
  return group.apply(resources);
}

Result<Launched> exec(const ExecRequest& request) {
  ContainerState state = TRY(load(request.root, request.id));
  std::string status = TRY(container_status(request.root, state));
  if (status != "running" && status != "created")
    return fail(Code::conflict, "cannot exec in container " + request.id + ": it is " + status);
  Spec spec = TRY(load_spec(request.root, request.id));
  LaunchOptions options{.id = request.id,
                        .bundle = state.bundle,
                        .spec = &spec,
                        .process = &request.process,
                        .join = state.pid,
                        .preserve_fds = request.preserve_fds};
  if (!state.cgroup.empty()) options.cgroup = TRY(os::Cgroup::at(state.cgroup));
  for (int i = 0; i < 3; i++) options.stdio[i] = request.stdio[i];
  os::Fd console;
  if (!request.console_socket.empty()) {
    console = TRY(os::connect_unix(request.console_socket, SOCK_STREAM));
    options.console_socket = console.get();
  }
  return launch(options);
}

}  // namespace estiba::runtime
