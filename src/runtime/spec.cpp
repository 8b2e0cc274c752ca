#include "runtime/spec.h"

#include <sched.h>

#include "base/strings.h"
#include "os/credentials.h"
#include "os/namespace.h"
#include "os/process.h"
#include "runtime/decode.h"

namespace estiba::runtime {

static Result<void> need_object(const json::Node& node, const std::string& field) {
  if (!node.is_object()) return field_error(field, "must be an object");
  return {};
}

// decode() of the lists' elements; found by argument-dependent lookup from the templates.

static Result<void> decode(const json::Node& node, const std::string& field, SpecRlimit& out) {
  TRY(need_object(node, field));
  TRY(read(node, "type", field, out.type));
  TRY(read(node, "soft", field, out.soft));
  TRY(read(node, "hard", field, out.hard));
  if (!os::rlimit_by_name(out.type))
    return field_error(field + ".type", "unknown limit " + quoted(out.type) + "; a name such as RLIMIT_NOFILE is wanted");
  if (out.soft > out.hard) return field_error(field + ".soft", "must not be greater than hard");
  return {};
}

static Result<void> decode(const json::Node& node, const std::string& field, SpecHook& out) {
  TRY(need_object(node, field));
  TRY(read(node, "path", field, out.path));
  TRY(read(node, "args", field, out.args));
  TRY(read(node, "env", field, out.env));
  TRY(read(node, "timeout", field, out.timeout_seconds));
  if (!out.path.starts_with('/')) return field_error(field + ".path", "must be an absolute path");
  if (out.timeout_seconds && *out.timeout_seconds <= 0) return field_error(field + ".timeout", "must be greater than 0");
  return {};
}

static Result<void> decode(const json::Node& node, const std::string& field, SpecNamespace& out) {
  static constexpr std::pair<std::string_view, int> kinds[] = {
      {"pid", CLONE_NEWPID}, {"network", CLONE_NEWNET}, {"mount", CLONE_NEWNS},      {"ipc", CLONE_NEWIPC},
      {"uts", CLONE_NEWUTS}, {"user", CLONE_NEWUSER},   {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME}};
  TRY(need_object(node, field));
  std::string type;
  TRY(read(node, "type", field, type));
  TRY(read(node, "path", field, out.path));
  for (auto [name, kind] : kinds) {
    if (name == type) out.kind = kind;
  }
  if (!out.kind)
    return field_error(field + ".type",
                       "unknown namespace " + quoted(type) + "; one of pid, network, mount, ipc, uts, user, cgroup, time is wanted");
  if (!out.path.empty() && out.path[0] != '/') return field_error(field + ".path", "must be an absolute path");
  return {};
}

static Result<void> decode(const json::Node& node, const std::string& field, SpecDevice& out) {
  TRY(need_object(node, field));
  std::string type;
  TRY(read(node, "path", field, out.path));
  TRY(read(node, "type", field, type));
  TRY(read(node, "major", field, out.major));
  TRY(read(node, "minor", field, out.minor));
  TRY(read(node, "fileMode", field, out.file_mode));
  TRY(read(node, "uid", field, out.uid));
  TRY(read(node, "gid", field, out.gid));
  if (!out.path.starts_with('/')) return field_error(field + ".path", "must be an absolute path");
  if (type.size() != 1 || std::string_view("cubp").find(type[0]) == std::string_view::npos) {
    return field_error(field + ".type", "must be c, u, b or p");
  }
  out.type = type[0];
  return {};
}

}  // namespace estiba::runtime

// Where argument-dependent lookup finds them.
namespace estiba::os {

static Result<void> decode(const json::Node& node, const std::string& field, SeccompArg& out) {
  TRY(runtime::need_object(node, field));
  TRY(runtime::read(node, "index", field, out.index));
  TRY(runtime::read(node, "value", field, out.value));
  TRY(runtime::read(node, "valueTwo", field, out.value_two));
  TRY(runtime::read(node, "op", field, out.op));
  if (out.index > 5) return runtime::field_error(field + ".index", "a system call has arguments 0 to 5");
  return {};
}

static Result<void> decode(const json::Node& node, const std::string& field, IdMapping& out) {
  TRY(runtime::need_object(node, field));
  TRY(runtime::read(node, "containerID", field, out.inside));
  TRY(runtime::read(node, "hostID", field, out.outside));
  TRY(runtime::read(node, "size", field, out.size));
  if (!out.size) return runtime::field_error(field + ".size", "must be greater than 0");
  constexpr uint64_t ids = 1ULL << 32;
  if (out.inside + uint64_t(out.size) > ids || out.outside + uint64_t(out.size) > ids)
    return runtime::field_error(field + ".size", "leads beyond the greatest id, 4294967295");
  return {};
}

static Result<void> decode(const json::Node& node, const std::string& field, SeccompRule& out) {
  TRY(runtime::need_object(node, field));
  TRY(runtime::read(node, "names", field, out.names));
  TRY(runtime::read(node, "action", field, out.action));
  TRY(runtime::read(node, "errnoRet", field, out.errno_ret));
  TRY(runtime::read(node, "args", field, out.args));
  return {};
}

static Result<void> decode(const json::Node& node, const std::string& field, DeviceRule& out) {
  TRY(runtime::need_object(node, field));
  std::string type, access;
  TRY(runtime::read(node, "allow", field, out.allow));
  TRY(runtime::read(node, "type", field, type));
  TRY(runtime::read(node, "major", field, out.major));
  TRY(runtime::read(node, "minor", field, out.minor));
  TRY(runtime::read(node, "access", field, access));
  if (type.empty()) type = "a";
  if (type.size() != 1 || std::string_view("abcu").find(type[0]) == std::string_view::npos)
    return runtime::field_error(field + ".type", "must be a, b or c");
  out.type = type[0] == 'u' ? 'c' : type[0];
  if (access.find_first_not_of("rwm") != std::string::npos)
    return runtime::field_error(field + ".access", "must be of the letters r, w and m");
  if (!access.empty()) out.access = access;
  if (out.major && *out.major < 0) out.major.reset();
  if (out.minor && *out.minor < 0) out.minor.reset();
  return {};
}

}  // namespace estiba::os

namespace estiba::runtime {

static Result<void> decode(const json::Node& node, const std::string& field, SpecMount& out) {
  TRY(need_object(node, field));
  TRY(read(node, "destination", field, out.destination));
  TRY(read(node, "type", field, out.type));
  TRY(read(node, "source", field, out.source));
  TRY(read(node, "options", field, out.options));
  TRY(read(node, "uidMappings", field, out.uid_mappings));
  TRY(read(node, "gidMappings", field, out.gid_mappings));
  if (out.uid_mappings.empty() != out.gid_mappings.empty())
    return field_error(field + (out.uid_mappings.empty() ? ".uidMappings" : ".gidMappings"), "is required beside the other one");
  if (out.destination.empty()) return field_error(field + ".destination", "is required");
  // runc takes relative ones as below "/", with a warning.
  if (out.destination[0] != '/') out.destination.insert(0, "/");
  return {};
}

namespace {

Result<void> read_blkio_devices(const json::Node& object, std::string_view key, const std::string& field, std::string_view value_key,
                                std::vector<os::BlkioDevice>& out) {
  const json::Node* list = object.find(key);
  if (!list || list->is_null()) return {};
  std::string name = field + "." + std::string(key);
  if (!list->is_array()) return field_error(name, "must be a list");
  uint32_t i = 0;
  for (const json::Node& node : *list) {
    std::string element = name + "[" + std::to_string(i++) + "]";
    TRY(need_object(node, element));
    os::BlkioDevice device;
    TRY(read(node, "major", element, device.major));
    TRY(read(node, "minor", element, device.minor));
    TRY(read(node, value_key, element, device.value));
    out.push_back(device);
  }
  return {};
}

Result<void> read_cpu_memory(const json::Node& node, const std::string& field, os::CgroupResources& out) {
  if (const json::Node* cpu = TRY(find_object(node, "cpu", field))) {
    std::string name = field + ".cpu";
    TRY(read(*cpu, "shares", name, out.cpu_shares));
    TRY(read(*cpu, "quota", name, out.cpu_quota_us));
    TRY(read(*cpu, "period", name, out.cpu_period_us));
    TRY(read(*cpu, "burst", name, out.cpu_burst_us));
    TRY(read(*cpu, "idle", name, out.cpu_idle));
    TRY(read(*cpu, "cpus", name, out.cpuset_cpus));
    TRY(read(*cpu, "mems", name, out.cpuset_mems));
    if (out.cpuset_cpus && out.cpuset_cpus->empty()) out.cpuset_cpus.reset();
    if (out.cpuset_mems && out.cpuset_mems->empty()) out.cpuset_mems.reset();
    if (out.cpu_shares == 0) out.cpu_shares.reset();
    if (out.cpu_period_us == 0) out.cpu_period_us.reset();
    if (out.cpu_quota_us == 0) out.cpu_quota_us.reset();
  }
  if (const json::Node* memory = TRY(find_object(node, "memory", field))) {
    std::string name = field + ".memory";
    TRY(read(*memory, "limit", name, out.memory_limit));
    TRY(read(*memory, "reservation", name, out.memory_reservation));
    TRY(read(*memory, "swap", name, out.memory_swap));
    TRY(read(*memory, "swappiness", name, out.swappiness));
    TRY(read(*memory, "disableOOMKiller", name, out.disable_oom_killer));
    if (out.memory_limit == 0) out.memory_limit.reset();
    if (out.memory_reservation == 0) out.memory_reservation.reset();
  }
  if (const json::Node* pids = TRY(find_object(node, "pids", field))) TRY(read(*pids, "limit", field + ".pids", out.pids_limit));
  return {};
}

Result<void> read_hugepages(const json::Node& node, const std::string& field, os::CgroupResources& out) {
  const json::Node* list = node.find("hugepageLimits");
  if (!list || list->is_null()) return {};
  std::string name = field + ".hugepageLimits";
  if (!list->is_array()) return field_error(name, "must be a list");
  for (const json::Node& element : *list) {
    std::string size;
    uint64_t limit = 0;
    TRY(read(element, "pageSize", name, size));
    TRY(read(element, "limit", name, limit));
    if (size.empty() || size.find('/') != std::string::npos) return field_error(name + ".pageSize", "must be a size such as 2MB");
    out.hugepages.emplace_back(std::move(size), limit);
  }
  return {};
}

// config-linux.md, "Network" and "RDMA".
Result<void> read_network(const json::Node& node, const std::string& field, os::CgroupResources& out) {
  const json::Node* network = TRY(find_object(node, "network", field));
  if (!network) return {};
  const std::string name = field + ".network";
  TRY(read(*network, "classID", name, out.network_class));
  const json::Node* list = network->find("priorities");
  if (!list || list->is_null()) return {};
  if (!list->is_array()) return field_error(name + ".priorities", "must be a list");
  for (const json::Node& element : *list) {
    std::string link;
    uint32_t priority = 0;
    TRY(read(element, "name", name + ".priorities", link));
    TRY(read(element, "priority", name + ".priorities", priority));
    if (link.empty()) return field_error(name + ".priorities.name", "is required");
    out.network_priorities.emplace_back(std::move(link), priority);
  }
  return {};
}

Result<void> read_rdma(const json::Node& node, const std::string& field, os::CgroupResources& out) {
  const json::Node* devices = TRY(find_object(node, "rdma", field));
  if (!devices) return {};
  for (const json::Node& device : *devices) {
    const std::string name = field + ".rdma." + std::string(device.key());
    std::optional<uint32_t> handles, objects;
    TRY(need_object(device, name));
    TRY(read(device, "hcaHandles", name, handles));
    TRY(read(device, "hcaObjects", name, objects));
    if (!handles && !objects) return field_error(name, "hcaHandles or hcaObjects is required");
    std::string limits;
    if (handles) limits = "hca_handle=" + std::to_string(*handles);
    if (objects) limits += std::string(limits.empty() ? "" : " ") + "hca_object=" + std::to_string(*objects);
    out.rdma.emplace_back(device.key(), std::move(limits));
  }
  return {};
}

Result<SpecHooks> parse_hooks(const json::Node& node) {
  SpecHooks hooks;
  TRY(read(node, "prestart", "hooks", hooks.prestart));
  TRY(read(node, "createRuntime", "hooks", hooks.create_runtime));
  TRY(read(node, "createContainer", "hooks", hooks.create_container));
  TRY(read(node, "startContainer", "hooks", hooks.start_container));
  TRY(read(node, "poststart", "hooks", hooks.poststart));
  TRY(read(node, "poststop", "hooks", hooks.poststop));
  return hooks;
}

Result<os::SeccompFilter> parse_seccomp(const json::Node& node) {
  os::SeccompFilter filter;
  const std::string field = "linux.seccomp";
  TRY(read(node, "defaultAction", field, filter.default_action));
  TRY(read(node, "defaultErrnoRet", field, filter.default_errno_ret));
  TRY(read(node, "architectures", field, filter.architectures));
  TRY(read(node, "flags", field, filter.flags));
  TRY(read(node, "syscalls", field, filter.rules));
  if (filter.default_action.empty()) return field_error(field + ".defaultAction", "is required");
  return filter;
}

Result<void> parse_time_offsets(const json::Node& node, SpecLinux& out) {
  const json::Node* offsets = TRY(find_object(node, "timeOffsets", "linux"));
  if (!offsets) return {};
  for (const json::Node& member : *offsets) {
    SpecTimeOffset offset;
    offset.clock = member.key();
    std::string field = "linux.timeOffsets." + offset.clock;
    if (offset.clock != "monotonic" && offset.clock != "boottime")
      return field_error(field, "unknown clock; monotonic or boottime is wanted");
    TRY(need_object(member, field));
    TRY(read(member, "secs", field, offset.secs));
    TRY(read(member, "nanosecs", field, offset.nanosecs));
    out.time_offsets.push_back(std::move(offset));
  }
  return {};
}

Result<void> parse_linux(const json::Node& node, SpecLinux& out) {
  const std::string field = "linux";
  TRY(read(node, "namespaces", field, out.namespaces));
  TRY(read(node, "uidMappings", field, out.uid_mappings));
  TRY(read(node, "gidMappings", field, out.gid_mappings));
  TRY(read(node, "devices", field, out.devices));
  TRY(read(node, "cgroupsPath", field, out.cgroups_path));
  TRY(read(node, "rootfsPropagation", field, out.rootfs_propagation));
  TRY(read(node, "sysctl", field, out.sysctl));
  TRY(read(node, "maskedPaths", field, out.masked_paths));
  TRY(read(node, "readonlyPaths", field, out.readonly_paths));
  TRY(read(node, "mountLabel", field, out.mount_label));
  TRY(parse_time_offsets(node, out));
  if (const json::Node* resources = TRY(find_object(node, "resources", field)))
    out.resources = TRY(parse_resources(*resources, "linux.resources"));
  if (const json::Node* seccomp = TRY(find_object(node, "seccomp", field))) out.seccomp = TRY(parse_seccomp(*seccomp));
  return {};
}

Result<void> check_namespaces(const Spec& spec) {
  const auto& namespaces = spec.linux_.namespaces;
  for (size_t i = 0; i < namespaces.size(); i++) {
    for (size_t j = 0; j < i; j++) {
      if (namespaces[i].kind == namespaces[j].kind) {
        return field_error("linux.namespaces[" + std::to_string(i) + "].type",
                           std::string(os::namespace_file(namespaces[i].kind)) + " is listed twice");
      }
    }
  }
  if (!spec.find_namespace(CLONE_NEWNS)) return field_error("linux.namespaces", "a mount namespace is required");
  const SpecNamespace* user = spec.find_namespace(CLONE_NEWUSER);
  if (user && user->path.empty() && (spec.linux_.uid_mappings.empty() || spec.linux_.gid_mappings.empty())) {
    return field_error("linux.uidMappings", "a new user namespace needs uidMappings and gidMappings");
  }
  if (!user && !(spec.linux_.uid_mappings.empty() && spec.linux_.gid_mappings.empty())) {
    return field_error("linux.uidMappings", "given without a user namespace");
  }
  return {};
}

Result<void> check(const Spec& spec) {
  static constexpr std::string_view propagations[] = {"",        "shared", "slave",    "private",    "unbindable",
                                                      "rshared", "rslave", "rprivate", "runbindable"};
  auto [major, rest] = split_once(spec.oci_version, '.');
  if (major != "1" || !rest) return field_error("ociVersion", quoted(spec.oci_version) + " is not supported; 1.x is wanted");
  if (spec.root_path.empty()) return field_error("root.path", "is required");
  if (spec.has_process && spec.process.args.empty()) return field_error("process.args", "must not be empty");
  if (std::find(std::begin(propagations), std::end(propagations), spec.linux_.rootfs_propagation) == std::end(propagations)) {
    return field_error("linux.rootfsPropagation", "unknown value " + quoted(spec.linux_.rootfs_propagation));
  }
  const SpecNamespace* uts = spec.find_namespace(CLONE_NEWUTS);
  if (!spec.hostname.empty() && !uts) return field_error("hostname", "can only be set in a uts namespace of the container");
  if (!spec.domainname.empty() && !uts) return field_error("domainname", "can only be set in a uts namespace of the container");
  return check_namespaces(spec);
}

}  // namespace

bool Spec::has_user_namespace() const { return find_namespace(CLONE_NEWUSER) != nullptr; }

const SpecNamespace* Spec::find_namespace(int kind) const {
  for (const SpecNamespace& ns : linux_.namespaces) {
    if (ns.kind == kind) return &ns;
  }
  return nullptr;
}

Result<os::CgroupResources> parse_resources(const json::Node& node, const std::string& field) {
  TRY(need_object(node, field));
  os::CgroupResources out;
  TRY(read(node, "devices", field, out.devices));
  TRY(read_cpu_memory(node, field, out));
  TRY(read_hugepages(node, field, out));
  TRY(read_network(node, field, out));
  TRY(read_rdma(node, field, out));
  TRY(read(node, "unified", field, out.unified));
  if (const json::Node* io = TRY(find_object(node, "blockIO", field))) {
    std::string name = field + ".blockIO";
    TRY(read(*io, "weight", name, out.blkio_weight));
    TRY(read_blkio_devices(*io, "weightDevice", name, "weight", out.blkio_weight_device));
    TRY(read_blkio_devices(*io, "throttleReadBpsDevice", name, "rate", out.read_bps));
    TRY(read_blkio_devices(*io, "throttleWriteBpsDevice", name, "rate", out.write_bps));
    TRY(read_blkio_devices(*io, "throttleReadIOPSDevice", name, "rate", out.read_iops));
    TRY(read_blkio_devices(*io, "throttleWriteIOPSDevice", name, "rate", out.write_iops));
  }
  return out;
}

Result<SpecProcess> parse_process(const json::Node& node, const std::string& field) {
  TRY(need_object(node, field));
  SpecProcess out;
  TRY(read(node, "terminal", field, out.terminal));
  TRY(read(node, "args", field, out.args));
  TRY(read(node, "env", field, out.env));
  TRY(read(node, "cwd", field, out.cwd));
  TRY(read(node, "rlimits", field, out.rlimits));
  TRY(read(node, "noNewPrivileges", field, out.no_new_privileges));
  TRY(read(node, "apparmorProfile", field, out.apparmor_profile));
  TRY(read(node, "selinuxLabel", field, out.selinux_label));
  TRY(read(node, "oomScoreAdj", field, out.oom_score_adj));
  if (const json::Node* size = TRY(find_object(node, "consoleSize", field))) {
    out.console_size.emplace();
    TRY(read(*size, "width", field + ".consoleSize", out.console_size->first));
    TRY(read(*size, "height", field + ".consoleSize", out.console_size->second));
  }
  if (const json::Node* user = TRY(find_object(node, "user", field))) {
    TRY(read(*user, "uid", field + ".user", out.user.uid));
    TRY(read(*user, "gid", field + ".user", out.user.gid));
    TRY(read(*user, "umask", field + ".user", out.user.umask));
    TRY(read(*user, "additionalGids", field + ".user", out.user.additional_gids));
  }
  if (const json::Node* caps = TRY(find_object(node, "capabilities", field))) {
    SpecCapabilities& c = out.capabilities.emplace();
    std::string name = field + ".capabilities";
    TRY(read(*caps, "bounding", name, c.bounding));
    TRY(read(*caps, "effective", name, c.effective));
    TRY(read(*caps, "inheritable", name, c.inheritable));
    TRY(read(*caps, "permitted", name, c.permitted));
    TRY(read(*caps, "ambient", name, c.ambient));
  }
  if (!out.cwd.starts_with('/')) return field_error(field + ".cwd", "must be an absolute path");
  if (out.oom_score_adj && (*out.oom_score_adj < -1000 || *out.oom_score_adj > 1000)) {
    return field_error(field + ".oomScoreAdj", "must be from -1000 to 1000");
  }
  return out;
}

Result<Spec> parse_spec(std::string_view text) {
  json::Document document = TRY(json::Document::parse(text, {.max_depth = 64, .allow_duplicate_keys = true}));
  const json::Node& root = document.root();
  TRY(need_object(root, "config"));
  Spec spec;
  TRY(read(root, "ociVersion", "", spec.oci_version));
  TRY(read(root, "hostname", "", spec.hostname));
  TRY(read(root, "domainname", "", spec.domainname));
  TRY(read(root, "mounts", "", spec.mounts));
  TRY(read(root, "annotations", "", spec.annotations));
  if (const json::Node* node = TRY(find_object(root, "root", ""))) {
    TRY(read(*node, "path", "root", spec.root_path));
    TRY(read(*node, "readonly", "root", spec.root_readonly));
  }
  if (const json::Node* node = TRY(find_object(root, "process", ""))) {
    spec.process = TRY(parse_process(*node, "process"));
    spec.has_process = true;
  }
  if (const json::Node* node = TRY(find_object(root, "hooks", ""))) spec.hooks = TRY(parse_hooks(*node));
  if (const json::Node* node = TRY(find_object(root, "linux", ""))) TRY(parse_linux(*node, spec.linux_));
  TRY(check(spec));
  return spec;
}

}  // namespace estiba::runtime
