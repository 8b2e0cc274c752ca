#include "docker/engine_specs.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "docker/config.h"
#include "docker/network_spec.h"
#include "docker/signals.h"
#include "os/file.h"

namespace estiba::docker {

namespace {

using engine::ContainerSpec;
using engine::Mount;
using engine::SandboxSpec;
using json::Node;

// --- limits -----------------------------------------------------------------------------------------------------------------------

Result<engine::Resources::Throttle> throttle(const Node& item, std::string_view value_key) {
  const std::string path(item.string_at("Path"));
  struct stat info = TRY_AS("block device " + path, os::stat_file(path));
  if (!S_ISBLK(info.st_mode)) return fail(Code::invalid, path + " is not a block device");
  return engine::Resources::Throttle{int64_t(major(info.st_rdev)), int64_t(minor(info.st_rdev)), uint64_t(int_at(item, value_key))};
}

Result<void> throttles(std::vector<engine::Resources::Throttle>& out, const Node* list, std::string_view value_key) {
  if (list)
    for (const Node& item : *list) out.push_back(TRY(throttle(item, value_key)));
  return {};
}

// --- mounts -----------------------------------------------------------------------------------------------------------------------

Mount::Propagation propagation_of(std::string_view text) {
  using P = Mount::Propagation;
  if (text == "rshared") return P::bidirectional;
  if (text == "rslave") return P::host_to_container;
  if (text == "shared") return P::one_shared;
  if (text == "slave") return P::one_slave;
  if (text == "private") return P::one_private;
  return P::none;
}

void add_mounts(ContainerSpec& spec, const Container& c, const SpecSurroundings& around) {
  for (size_t i = 0; i < c.mounts.size() && i < around.mount_paths.size(); ++i) {
    const MountPoint& m = c.mounts[i];
    Mount mount;
    mount.host_path = around.mount_paths[i];
    mount.container_path = m.destination;
    mount.readonly = !m.writable;
    mount.propagation = propagation_of(m.propagation);
    mount.recursive = m.mode != "nonrecursive";
    mount.readonly_recursive = m.recursive_readonly;
    spec.mounts.push_back(std::move(mount));
  }
}

Result<engine::Tmpfs> tmpfs_of(std::string_view path, std::string_view options) {
  engine::Tmpfs out;
  out.container_path = path;
  for (std::string_view option : split(options, ',')) {
    auto [name, value] = split_once(option, '=');
    if (name == "size" && value && !value->ends_with('%')) {
      out.size_bytes = TRY_AS("tmpfs " + std::string(path), parse_bytes(*value));
    } else if (name == "mode" && value) {
      auto mode = parse_number<uint32_t>(*value, 8);
      if (!mode) return fail(Code::invalid, "tmpfs " + std::string(path) + ": invalid mode " + quoted(*value));
      out.mode = *mode;
    } else if (!option.empty()) {
      out.options.emplace_back(option);
    }
  }
  return out;
}

Result<void> add_tmpfs(ContainerSpec& spec, const Node& host) {
  if (const Node* tmpfs = host.find("Tmpfs"))
    for (const Node& item : *tmpfs) spec.tmpfs.push_back(TRY(tmpfs_of(item.key(), item.as_string())));
  if (const Node* mounts = host.find("Mounts"))
    for (const Node& item : *mounts) {
      if (item.string_at("Type") != "tmpfs") continue;
      engine::Tmpfs out;
      out.container_path = item.string_at("Target");
      if (const Node* options = item.find("TmpfsOptions")) {
        out.size_bytes = uint64_t(int_at(*options, "SizeBytes"));
        if (const int64_t mode = int_at(*options, "Mode")) out.mode = uint32_t(mode);
        if (const Node* more = options->find("Options"))
          for (const Node& pair : *more) {
            auto words = strings_of(&pair);
            out.options.push_back(join(words, "="));
          }
      }
      if (bool_at(item, "ReadOnly")) out.options.emplace_back("ro");
      spec.tmpfs.push_back(std::move(out));
    }
  return {};
}

// --- security ---------------------------------------------------------------------------------------------------------------------

Result<void> add_security(ContainerSpec& spec, const Node& host) {
  spec.privileged = bool_at(host, "Privileged");
  spec.capabilities_add = strings_of(host.find("CapAdd"));
  spec.capabilities_drop = strings_of(host.find("CapDrop"));
  for (auto* list : {&spec.capabilities_add, &spec.capabilities_drop})
    for (auto& name : *list) {
      for (char& c : name) c = c >= 'a' && c <= 'z' ? char(c - 32) : c;
      if (name.starts_with("CAP_")) name.erase(0, 4);
    }
  spec.readonly_root = bool_at(host, "ReadonlyRootfs");
  spec.seccomp = spec.privileged ? ContainerSpec::Seccomp::unconfined : ContainerSpec::Seccomp::runtime_default;
  spec.masked_paths = strings_of(host.find("MaskedPaths"));
  spec.readonly_paths = strings_of(host.find("ReadonlyPaths"));
  spec.default_masked_paths = !spec.masked_paths->empty();
  for (const auto& option : strings_of(host.find("SecurityOpt"))) {
    auto [name, value] = split_once(option, option.find('=') != option.npos ? '=' : ':');
    if (name == "no-new-privileges") {
      spec.no_new_privileges = !value || *value == "true";
    } else if (name == "seccomp" && value) {
      if (*value == "unconfined") {
        spec.seccomp = ContainerSpec::Seccomp::unconfined;
      } else if (*value != "builtin" && !value->empty()) {
        spec.seccomp = ContainerSpec::Seccomp::profile;
        spec.seccomp_profile = *value;
      }
    } else if (name == "systempaths" && value == "unconfined") {
      spec.masked_paths = spec.readonly_paths = std::vector<std::string>();
      spec.default_masked_paths = false;
    } else if (name != "apparmor" && name != "label" && name != "writable-cgroups") {
      return fail(Code::invalid, "invalid --security-opt: " + quoted(option));
    }
  }
  return {};
}

Result<void> add_devices(ContainerSpec& spec, const Node& host) {
  if (const Node* devices = host.find("Devices"))
    for (const Node& item : *devices) {
      engine::Device device;
      device.host_path = item.string_at("PathOnHost");
      device.container_path = item.string_at("PathInContainer");
      if (device.container_path.empty()) device.container_path = device.host_path;
      if (const std::string_view access = item.string_at("CgroupPermissions"); !access.empty()) device.permissions = access;
      if (!os::exists(device.host_path))
        return fail(Code::invalid, "error gathering device information while adding custom device \"" + device.host_path +
                                       "\": no such file or directory");
      spec.devices.push_back(std::move(device));
    }
  if (const Node* requests = host.find("DeviceRequests"))
    for (const Node& request : *requests)
      for (std::string& name : strings_of(request.find("DeviceIDs"))) spec.cdi_devices.push_back(std::move(name));
  if (const Node* ulimits = host.find("Ulimits"))
    for (const Node& item : *ulimits)
      spec.ulimits.push_back({std::string(item.string_at("Name")), int_at(item, "Soft"), int_at(item, "Hard")});
  return {};
}

// --- namespaces -------------------------------------------------------------------------------------------------------------------

Result<void> add_namespaces(EngineSpecs& specs, const Container& c, const SpecSurroundings& around) {
  const Node &config = c.config.root(), &host = c.host_config.root();
  SandboxSpec& sandbox = specs.sandbox;
  ContainerSpec& spec = specs.container;
  const uint64_t shm = uint64_t(int_at(host, "ShmSize"));
  sandbox.shm_bytes = 0;
  const std::string_view ipc = host.string_at("IpcMode");
  if (ipc == "host") {
    sandbox.host_ipc = true;
  } else if (ipc == "shareable") {
    sandbox.shm_bytes = shm;
  } else if (const std::string_view name = other_of(ipc); !name.empty()) {
    auto [pid, dir] = TRY(around.other(name));
    spec.join.ipc = "/proc/" + std::to_string(pid) + "/ns/ipc";
    spec.mounts.push_back({.host_path = dir, .container_path = "/dev/shm"});
  } else if (ipc != "none") {
    spec.shm_bytes = shm;
  }
  const std::string_view pid_mode = host.string_at("PidMode");
  sandbox.host_pid = pid_mode == "host";
  if (const std::string_view name = other_of(pid_mode); !name.empty())
    spec.join.pid = "/proc/" + std::to_string(TRY(around.other(name)).first) + "/ns/pid";
  if (host.string_at("UTSMode") != "host") {
    sandbox.hostname = config.string_at("Hostname");
    sandbox.domainname = config.string_at("Domainname");
  }
  sandbox.netns_path = around.netns_path;
  spec.host_cgroup_namespace = host.string_at("CgroupnsMode") == "host";
  if (const Node* sysctls = host.find("Sysctls"))
    for (const Node& item : *sysctls) sandbox.sysctls.emplace(item.key(), item.as_string());
  return {};
}

}  // namespace

Result<uint64_t> parse_bytes(std::string_view text) {
  const size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string number(text.substr(0, end));
  std::string unit = to_lower(trim(text.substr(end)));
  if (unit.ends_with("ib")) unit.erase(unit.size() - 2);
  if (unit.ends_with('b')) unit.pop_back();
  char* stop = nullptr;
  const double value = std::strtod(number.c_str(), &stop);
  const size_t place = unit.size() == 1 ? std::string_view("kmgtp").find(unit) : std::string_view::npos;
  if (number.empty() || *stop || (!unit.empty() && place == std::string_view::npos))
    return fail(Code::invalid, "invalid size: '" + std::string(text) + "'");
  const size_t power = unit.empty() ? 0 : place + 1;
  return uint64_t(value * std::pow(1024.0, double(power)));
}

Result<std::pair<uint64_t, uint32_t>> log_limits(const Node& host) {
  uint64_t bytes = 10 << 20;
  uint32_t files = 5;
  const Node* options = host.at("LogConfig", "Config");
  if (!options) return std::pair(bytes, files);
  for (const Node& item : *options) {
    const std::string_view value = item.as_string();
    if (item.key() == "max-size") {
      bytes = value == "-1" ? 0 : TRY_AS("log option max-size", parse_bytes(value));
    } else if (item.key() == "max-file") {
      auto parsed = parse_number<uint32_t>(value);
      if (!parsed || *parsed == 0) return fail(Code::invalid, "max-file cannot be less than 1: " + quoted(value));
      files = *parsed;
    } else if (item.key() != "compress" && item.key() != "labels" && item.key() != "labels-regex" && item.key() != "env" &&
               item.key() != "env-regex" && item.key() != "tag" && item.key() != "mode" && item.key() != "max-buffer-size") {
      return fail(Code::invalid, "unknown log opt '" + std::string(item.key()) + "' for " +
                                     std::string(host.string_at("LogConfig", "Type")) + " log driver");
    }
  }
  return std::pair(bytes, files);
}

Result<engine::Resources> engine_resources(const Node& host) {
  engine::Resources out;
  auto number = [&](std::string_view key, auto& place) {
    if (const int64_t value = int_at(host, key)) place = static_cast<std::decay_t<decltype(*place)>>(value);
  };
  number("CpuShares", out.cpu_shares);
  number("CpuQuota", out.cpu_quota_us);
  number("CpuPeriod", out.cpu_period_us);
  if (const int64_t nano = int_at(host, "NanoCpus")) {
    out.cpu_period_us = 100'000;
    out.cpu_quota_us = nano / 10'000;
  }
  number("Memory", out.memory_bytes);
  number("MemorySwap", out.memory_swap_bytes);
  number("MemoryReservation", out.memory_reservation_bytes);
  if (const Node* swappiness = host.find("MemorySwappiness"); swappiness && swappiness->as_int().value_or(-1) >= 0)
    out.memory_swappiness = uint64_t(*swappiness->as_int());
  out.oom_kill_disable = bool_at(host, "OomKillDisable");
  if (const int64_t pids = int_at(host, "PidsLimit")) out.pids = pids;
  number("BlkioWeight", out.blkio_weight);
  out.cpuset_cpus = host.string_at("CpusetCpus");
  out.cpuset_mems = host.string_at("CpusetMems");
  if (const int64_t score = int_at(host, "OomScoreAdj")) out.oom_score_adj = int(score);
  TRY(throttles(out.blkio_weight_device, host.find("BlkioWeightDevice"), "Weight"));
  TRY(throttles(out.read_bps, host.find("BlkioDeviceReadBps"), "Rate"));
  TRY(throttles(out.write_bps, host.find("BlkioDeviceWriteBps"), "Rate"));
  TRY(throttles(out.read_iops, host.find("BlkioDeviceReadIOps"), "Rate"));
  TRY(throttles(out.write_iops, host.find("BlkioDeviceWriteIOps"), "Rate"));
  out.device_rules = strings_of(host.find("DeviceCgroupRules"));
  return out;
}

Result<EngineSpecs> engine_specs(const Container& c, const SpecSurroundings& around) {
  EngineSpecs out;
  const Node &config = c.config.root(), &host = c.host_config.root();
  SandboxSpec& sandbox = out.sandbox;
  ContainerSpec& spec = out.container;
  sandbox.uid = spec.id = c.id;
  sandbox.name = spec.name = c.name;
  sandbox.owner = sandbox.ns = "docker";
  spec.image = c.image_id;
  spec.keep_root = true;
  spec.command = c.facts.command;
  spec.env_is_whole = true;
  for (const auto& item : strings_of(config.find("Env"))) {
    auto [name, value] = split_once(item, '=');
    if (value) spec.env.emplace_back(name, *value);  // a name alone takes the image's variable away
  }
  spec.working_dir = config.string_at("WorkingDir");
  spec.user.user = config.string_at("User");
  spec.user.groups = around.groups;
  spec.files_dir = around.files_dir;
  add_mounts(spec, c, around);
  TRY(add_tmpfs(spec, host));
  TRY(add_security(spec, host));
  TRY(add_devices(spec, host));
  spec.resources = TRY(engine_resources(host));
  const std::string_view parent = host.string_at("CgroupParent");
  spec.cgroup = (parent.empty() ? "/docker" : parent.starts_with('/') ? std::string(parent) : "/" + std::string(parent)) + "/" + c.id;
  TRY(add_namespaces(out, c, around));
  spec.init = bool_at(host, "Init");
  spec.tty = c.facts.tty;
  spec.stdin_open = c.facts.open_stdin;
  spec.stdin_once = c.facts.stdin_once;
  spec.stop_signal = TRY(parse_signal(c.facts.stop_signal));
  if (c.facts.log_type != "none") {
    sandbox.log_dir = around.log_dir;
    spec.log_path = c.id + "-json.log";
    std::tie(spec.log_max_bytes, spec.log_max_files) = TRY(log_limits(host));
  }
  return out;
}

}  // namespace estiba::docker
