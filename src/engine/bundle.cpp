#include "engine/bundle.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>

#include "base/log.h"
#include "base/strings.h"
#include "engine/capabilities.h"
#include "engine/devices.h"
#include "engine/errors.h"
#include "engine/seccomp.h"
#include "model/json.h"
#include "runtime/pod_group.h"
#include "runtime/seccomp_default.h"

namespace estiba::engine {
namespace {

using json::Document;
using json::Node;

bool exists(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0;
}

// Parsed once for each set of capabilities: most containers have the same.
Result<std::shared_ptr<const Document>> default_profile(const std::vector<std::string>& capabilities) {
  static std::mutex mutex;
  static std::map<std::vector<std::string>, std::shared_ptr<const Document>> profiles;  // guarded by mutex
  constexpr size_t most = 64;
  std::lock_guard lock(mutex);
  if (auto known = profiles.find(capabilities); known != profiles.end()) return known->second;
  auto made = std::make_shared<const Document>(TRY(Document::parse(runtime::default_seccomp_json(capabilities))));
  if (profiles.size() == most) profiles.clear();
  return profiles.emplace(capabilities, std::move(made)).first->second;
}

class Bundle {
 public:
  explicit Bundle(const BundleInput& input) : in_(input), spec_(input.spec) {}

  Result<std::string> text() {
    Node& root = doc_.make_object();
    doc_.set_root(root);
    doc_.set(root, "ociVersion", "1.2.0");
    capabilities_ = TRY(container_capabilities(spec_));
    TRY(process(doc_.set(root, "process", doc_.make_object())));
    Node& rootfs = doc_.set(root, "root", doc_.make_object());
    doc_.set(rootfs, "path", in_.root_path);
    doc_.set(rootfs, "readonly", doc_.make_bool(spec_.readonly_root));
    if (!in_.sandbox.hostname.empty() && !spec_.join.uts.empty())
      return failed(reason::create_container_config, Code::invalid, "a container with a hostname cannot join another UTS namespace");
    TRY(mounts(doc_.set(root, "mounts", doc_.make_array())));
    TRY(linux_part(doc_.set(root, "linux", doc_.make_object())));
    hooks(root);
    return json::print(root);
  }

 private:
  Node& strings(const std::vector<std::string>& list) {
    Node& out = doc_.make_array();
    for (const auto& item : list) doc_.append(out, doc_.make_string(item));
    return out;
  }

  Result<void> process(Node& out) {
    doc_.set(out, "terminal", doc_.make_bool(spec_.tty));
    Node& user = doc_.set(out, "user", doc_.make_object());
    doc_.set(user, "uid", doc_.make_int(in_.identity.uid));
    doc_.set(user, "gid", doc_.make_int(in_.identity.gid));
    std::vector<uint32_t> gids = in_.identity.groups;
    for (uint32_t gid : in_.cdi.additional_gids)
      if (!std::ranges::contains(gids, gid)) gids.push_back(gid);
    if (!gids.empty()) {
      Node& groups = doc_.set(user, "additionalGids", doc_.make_array());
      for (uint32_t gid : gids) doc_.append(groups, doc_.make_int(gid));
    }
    auto args = TRY(command_line(spec_, in_.image));
    if (spec_.init) args.insert(args.begin(), {std::string(init_path), "--"});
    doc_.set(out, "args", strings(args));
    doc_.set(out, "env", strings(environment()));
    std::string cwd = !spec_.working_dir.empty() ? spec_.working_dir : in_.image.working_dir;
    if (cwd.empty()) cwd = "/";
    if (!cwd.starts_with('/')) cwd = "/" + cwd;
    doc_.set(out, "cwd", cwd);
    Node& caps = doc_.set(out, "capabilities", doc_.make_object());
    for (const char* set : {"bounding", "effective", "permitted"}) doc_.set(caps, set, strings(capabilities_));
    doc_.set(out, "noNewPrivileges", doc_.make_bool(spec_.no_new_privileges && !spec_.privileged));
    TRY(ulimits(out));
    if (spec_.resources.oom_score_adj) doc_.set(out, "oomScoreAdj", doc_.make_int(*spec_.resources.oom_score_adj));
    return {};
  }

  Result<void> ulimits(Node& out) {
    if (spec_.ulimits.empty()) return {};
    Node& list = doc_.set(out, "rlimits", doc_.make_array());
    for (const Ulimit& limit : spec_.ulimits) {
      std::string type = "RLIMIT_";
      for (char c : limit.name) type += c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c;
      if (limit.hard >= 0 && (limit.soft < 0 || limit.soft > limit.hard)) {
        return failed(reason::create_container_config, Code::invalid,
                      "ulimit soft limit must be less than or equal to hard limit: " + std::to_string(limit.soft) + " > " +
                          std::to_string(limit.hard));
      }
      auto number = [&](int64_t value) -> Node& { return doc_.make_number(std::to_string(value < 0 ? ~uint64_t(0) : uint64_t(value))); };
      Node& item = doc_.append(list, doc_.make_object());
      doc_.set(item, "type", type);
      doc_.set(item, "soft", number(limit.soft));
      doc_.set(item, "hard", number(limit.hard));
    }
    return {};
  }

  std::vector<std::string> environment() const {
    std::vector<std::string> out;
    auto put = [&](std::string_view name, std::string text) {
      for (auto& item : out) {
        if (item.starts_with(name) && item.size() > name.size() && item[name.size()] == '=') {
          item = std::move(text);
          return;
        }
      }
      out.push_back(std::move(text));
    };
    put("PATH", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    char node[256] = {};
    ::gethostname(node, sizeof node - 1);
    put("HOSTNAME", "HOSTNAME=" + (in_.sandbox.hostname.empty() ? std::string(node) : in_.sandbox.hostname));
    if (spec_.tty) put("TERM", "TERM=xterm");
    put("HOME", "HOME=" + in_.identity.home);
    if (!spec_.env_is_whole)
      for (const auto& item : in_.image.env) put(split_once(item, '=').first, item);
    for (const auto& [name, value] : spec_.env) put(name, name + "=" + value);
    for (const auto& item : in_.cdi.env) put(split_once(item, '=').first, item);
    return out;
  }

  Node& mount(Node& list, std::string_view destination, std::string_view type, std::string_view source,
              const std::vector<std::string>& options) {
    Node& out = doc_.append(list, doc_.make_object());
    doc_.set(out, "destination", destination);
    doc_.set(out, "type", type);
    doc_.set(out, "source", source);
    doc_.set(out, "options", strings(options));
    return out;
  }

  void ranges(Node& out, const char* key, const std::vector<UserNamespace::Range>& list) {
    Node& items = doc_.set(out, key, doc_.make_array());
    for (const UserNamespace::Range& range : list) {
      Node& item = doc_.append(items, doc_.make_object());
      doc_.set(item, "containerID", doc_.make_int(range.inside));
      doc_.set(item, "hostID", doc_.make_int(range.outside));
      doc_.set(item, "size", doc_.make_int(range.size));
    }
  }

  /// What is root's on the disk is the container's root's.
  void mapped(Node& mount, const std::vector<UserNamespace::Range>& uids, const std::vector<UserNamespace::Range>& gids) {
    ranges(mount, "uidMappings", uids);
    ranges(mount, "gidMappings", gids);
  }
  void mapped(Node& mount) {
    if (in_.sandbox.users) mapped(mount, in_.sandbox.users.uids, in_.sandbox.users.gids);
  }

  bool mounted_by_spec(std::string_view path) const {
    return std::any_of(spec_.mounts.begin(), spec_.mounts.end(), [&](const Mount& m) { return m.container_path == path; }) ||
           std::any_of(spec_.tmpfs.begin(), spec_.tmpfs.end(), [&](const Tmpfs& m) { return m.container_path == path; }) ||
           mounted_by_cdi(path);
  }
  bool mounted_by_cdi(std::string_view path) const { return std::ranges::contains(in_.cdi.mounts, path, &runtime::SpecMount::destination); }

  Result<void> mounts(Node& list) {
    const char* access = spec_.privileged ? "rw" : "ro";
    mount(list, "/proc", "proc", "proc", {"nosuid", "noexec", "nodev"});
    if (!mounted_by_spec("/dev")) {
      mount(list, "/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"});
      mount(list, "/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"});
      mount(list, "/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"});
    }
    if (!mounted_by_spec("/sys")) {
      mount(list, "/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access});
      mount(list, "/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", access});
    }
    shared_memory(list);
    for (const char* name : {"resolv.conf", "hosts", "hostname"}) {
      const std::string target = std::string("/etc/") + name, source = in_.etc_files + "/" + name;
      if (mounted_by_spec(target) || !exists(source)) continue;
      // Docker leaves these writable under a read-only root, Kubernetes does not.
      mapped(mount(list, target, "bind", source, {"rbind", "rprivate", spec_.readonly_root && spec_.files_dir.empty() ? "ro" : "rw"}));
    }
    if (spec_.init) mount(list, init_path, "bind", in_.oci_program, {"bind", "ro", "rprivate"});
    // Parents before what lies below them, whatever the order of the spec.
    auto depth = [](std::string_view path) { return std::count(path.begin(), path.end(), '/'); };
    struct Item {
      std::string_view path;
      const Mount* bind;
      const Tmpfs* tmpfs;
      const runtime::SpecMount* cdi;
    };
    std::vector<Item> sorted;
    for (const auto& m : spec_.mounts) sorted.push_back({m.container_path, &m, nullptr, nullptr});
    for (const auto& m : spec_.tmpfs) sorted.push_back({m.container_path, nullptr, &m, nullptr});
    std::erase_if(sorted, [&](const Item& item) { return mounted_by_cdi(item.path); });
    for (const auto& m : in_.cdi.mounts) sorted.push_back({m.destination, nullptr, nullptr, &m});
    std::stable_sort(sorted.begin(), sorted.end(), [&](const Item& a, const Item& b) { return depth(a.path) < depth(b.path); });
    for (const Item& item : sorted) {
      if (item.cdi) mount(list, item.cdi->destination, item.cdi->type, item.cdi->source, item.cdi->options);
      else TRY(item.bind ? user_mount(list, *item.bind) : user_tmpfs(list, *item.tmpfs));
    }
    return {};
  }

  void shared_memory(Node& list) {
    if (mounted_by_spec("/dev/shm")) return;
    const std::string shm = in_.sandbox.host_ipc ? "/dev/shm" : in_.shm;
    if (spec_.shm_bytes)
      mount(list, "/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=" + std::to_string(spec_.shm_bytes)});
    else if (exists(shm)) mount(list, "/dev/shm", "bind", shm, {"rbind", "rprivate", "rw"});
  }

  Result<void> check_path(const std::string& path) {
    if (path.starts_with('/')) return {};
    return failed(reason::create_container_config, Code::invalid, "the mount path " + quoted(path) + " is not absolute");
  }

  Result<void> user_tmpfs(Node& list, const Tmpfs& m) {
    TRY(check_path(m.container_path));
    std::vector<std::string> options{"nosuid", "nodev", "noexec"};
    if (m.size_bytes) options.push_back("size=" + std::to_string(m.size_bytes));
    if (m.mode) {
      std::string octal;
      for (uint32_t rest = *m.mode; rest || octal.empty(); rest /= 8) octal.insert(octal.begin(), char('0' + rest % 8));
      options.push_back("mode=" + octal);
    }
    options.insert(options.end(), m.options.begin(), m.options.end());
    mount(list, m.container_path, "tmpfs", "tmpfs", options);
    return {};
  }

  Result<void> user_mount(Node& list, const Mount& m) {
    TRY(check_path(m.container_path));
    if (!exists(m.host_path))
      return failed(reason::create_container_config, Code::not_found,
                    "the source of mount " + m.container_path + ", " + m.host_path + ", does not exist on the node");
    constexpr const char* names[] = {"rprivate", "rslave", "rshared", "private", "slave", "shared"};
    const char* access = !m.readonly ? "rw" : m.readonly_recursive ? "rro" : "ro";
    std::vector<std::string> options{m.recursive ? "rbind" : "bind", names[size_t(m.propagation)], access};
    if (!m.image.empty()) options.insert(options.end(), {"nosuid", "nodev", "noexec"});
    Node& made = mount(list, m.container_path, "bind", m.host_path, options);
    // An image is mounted from layers that have the ids already.
    if (!m.image.empty()) return {};
    if (!m.uids.empty()) mapped(made, m.uids, m.gids);
    else mapped(made);
    return {};
  }

  Result<void> linux_part(Node& out) {
    Node& namespaces = doc_.set(out, "namespaces", doc_.make_array());
    // What is not listed is the pod's: network, IPC and host name always are.
    auto add = [&](const char* type, const std::string& path = {}) {
      Node& item = doc_.append(namespaces, doc_.make_object());
      doc_.set(item, "type", type);
      if (!path.empty()) doc_.set(item, "path", path);
    };
    add("mount");
    if (in_.sandbox.users) {
      add("user", in_.sandbox.users.path);
      ranges(out, "uidMappings", in_.sandbox.users.uids);
      ranges(out, "gidMappings", in_.sandbox.users.gids);
    }
    if (!spec_.privileged && !spec_.host_cgroup_namespace) add("cgroup");
    if (!spec_.join.pid.empty() || (!in_.sandbox.host_pid && !in_.sandbox.share_process_namespace)) add("pid", spec_.join.pid);
    if (!spec_.join.ipc.empty()) add("ipc", spec_.join.ipc);
    if (!spec_.join.uts.empty()) add("uts", spec_.join.uts);
    if (!spec_.cgroup.empty()) doc_.set(out, "cgroupsPath", spec_.cgroup);
    else if (!in_.sandbox.cgroup_parent.empty()) doc_.set(out, "cgroupsPath", cgroup_path(in_.sandbox, spec_.id));
    auto nodes = TRY(container_devices(spec_));
    add_cdi_nodes(nodes);
    devices(out, nodes);
    TRY(resources(out, nodes));
    if (!spec_.privileged && spec_.default_masked_paths) {
      doc_.set(out, "maskedPaths", strings(spec_.masked_paths.value_or(default_masked_paths())));
      doc_.set(out, "readonlyPaths", strings(spec_.readonly_paths.value_or(default_readonly_paths())));
    }
    using enum Mount::Propagation;
    auto any = [&](Mount::Propagation one, Mount::Propagation other) {
      return std::any_of(spec_.mounts.begin(), spec_.mounts.end(),
                         [&](const Mount& m) { return m.propagation == one || m.propagation == other; });
    };
    if (any(bidirectional, one_shared)) doc_.set(out, "rootfsPropagation", "rshared");
    else if (any(host_to_container, one_slave)) doc_.set(out, "rootfsPropagation", "rslave");
    if (spec_.seccomp == ContainerSpec::Seccomp::runtime_default && !spec_.privileged) {
      doc_.set(out, "seccomp", doc_.copy(TRY(default_profile(capabilities_))->root()));
    } else if (spec_.seccomp == ContainerSpec::Seccomp::profile && !spec_.privileged) {
      auto profile = reasoned(reason::create_container_config, oci_seccomp(spec_.seccomp_profile, capabilities_));
      doc_.set(out, "seccomp", doc_.copy(TRY(std::move(profile)).root()));
    }
    return {};
  }

  // A device without an owner belongs to whom the container runs as.
  void add_cdi_nodes(std::vector<DeviceNode>& nodes) const {
    for (const CdiEdits::Device& device : in_.cdi.devices) {
      const runtime::SpecDevice& node = device.node;
      std::erase_if(nodes, [&](const DeviceNode& other) { return other.path == node.path; });
      nodes.push_back({node.path, node.type, node.major, node.minor, node.file_mode.value_or(0666), node.uid.value_or(in_.identity.uid),
                       node.gid.value_or(in_.identity.gid), device.permissions});
    }
  }

  void hooks(Node& root) {
    for (const CdiHookKind& kind : cdi_hooks) {
      if ((in_.cdi.hooks.*kind.list).empty()) continue;
      Node& list = doc_.set(doc_.ensure_object(root, "hooks"), kind.name, doc_.make_array());
      for (const runtime::SpecHook& hook : in_.cdi.hooks.*kind.list) {
        Node& item = doc_.append(list, doc_.make_object());
        doc_.set(item, "path", hook.path);
        if (!hook.args.empty()) doc_.set(item, "args", strings(hook.args));
        if (!hook.env.empty()) doc_.set(item, "env", strings(hook.env));
        if (hook.timeout_seconds) doc_.set(item, "timeout", doc_.make_int(*hook.timeout_seconds));
      }
    }
  }

  void devices(Node& out, const std::vector<DeviceNode>& nodes) {
    if (nodes.empty()) return;
    Node& list = doc_.set(out, "devices", doc_.make_array());
    for (const auto& node : nodes) {
      Node& item = doc_.append(list, doc_.make_object());
      doc_.set(item, "path", node.path);
      doc_.set(item, "type", std::string(1, node.type));
      doc_.set(item, "major", doc_.make_int(node.major));
      doc_.set(item, "minor", doc_.make_int(node.minor));
      doc_.set(item, "fileMode", doc_.make_int(node.mode));
      doc_.set(item, "uid", doc_.make_int(node.uid));
      doc_.set(item, "gid", doc_.make_int(node.gid));
    }
  }

  void rule(Node& list, bool allow, char type, int64_t major, int64_t minor, std::string_view access) {
    Node& item = doc_.append(list, doc_.make_object());
    doc_.set(item, "allow", doc_.make_bool(allow));
    if (type != 'a') doc_.set(item, "type", std::string(1, type));
    if (major >= 0) doc_.set(item, "major", doc_.make_int(major));
    if (minor >= 0) doc_.set(item, "minor", doc_.make_int(minor));
    doc_.set(item, "access", access);
  }

  Result<void> resources(Node& out, const std::vector<DeviceNode>& nodes) {
    Document limits = TRY(Document::parse(resources_json(spec_.resources)));
    Node& copied = doc_.set(out, "resources", doc_.copy(limits.root()));
    Node& rules = doc_.set(copied, "devices", doc_.make_array());
    if (spec_.privileged) {
      rule(rules, true, 'a', -1, -1, "rwm");
      return {};
    }
    rule(rules, false, 'a', -1, -1, "rwm");
    // Nodes may be made, but only the harmless ones be used: null, zero, full, random, urandom, tty, console, ptmx, pts.
    rule(rules, true, 'c', -1, -1, "m");
    rule(rules, true, 'b', -1, -1, "m");
    for (int64_t minor : {3, 5, 7, 8, 9}) rule(rules, true, 'c', 1, minor, "rwm");
    for (int64_t minor : {0, 1, 2}) rule(rules, true, 'c', 5, minor, "rwm");
    rule(rules, true, 'c', 136, -1, "rwm");
    for (const auto& node : nodes)
      if (node.type != 'p') rule(rules, true, node.type == 'b' ? 'b' : 'c', node.major, node.minor, node.permissions);
    for (const auto& text : spec_.resources.device_rules) {
      DeviceRule one = TRY(parse_device_rule(text));
      rule(rules, true, one.type, one.major, one.minor, one.access);
    }
    return {};
  }

  const BundleInput& in_;
  const ContainerSpec& spec_;
  Document doc_;
  std::vector<std::string> capabilities_;
};

}  // namespace

Result<std::vector<std::string>> command_line(const ContainerSpec& spec, const image::Config& image) {
  std::vector<std::string> out = spec.command.empty() && !spec.env_is_whole ? image.entrypoint : spec.command;
  const auto& rest = !spec.args.empty() || !spec.command.empty() || spec.env_is_whole ? spec.args : image.cmd;
  out.insert(out.end(), rest.begin(), rest.end());
  if (out.empty())
    return failed(reason::create_container, Code::invalid, "no command specified: neither the container nor its image has one");
  return out;
}

std::string cgroup_path(const SandboxRecord& sandbox, std::string_view container_id) {
  return sandbox.cgroup_parent + "/" + std::string(container_id);
}

std::string resources_json(const Resources& r) {
  Document doc;
  Node& root = doc.make_object();
  doc.set_root(root);
  auto put = [&](const char* section, const char* key, int64_t value) {
    doc.set(doc.ensure_object(root, section), key, doc.make_int(value));
  };
  if (r.cpu_shares) put("cpu", "shares", int64_t(*r.cpu_shares));
  if (r.cpu_quota_us) put("cpu", "quota", *r.cpu_quota_us);
  if (r.cpu_quota_us || r.cpu_period_us) put("cpu", "period", int64_t(r.cpu_period_us.value_or(100000)));
  if (!r.cpuset_cpus.empty()) doc.set(doc.ensure_object(root, "cpu"), "cpus", r.cpuset_cpus);
  if (!r.cpuset_mems.empty()) doc.set(doc.ensure_object(root, "cpu"), "mems", r.cpuset_mems);
  if (r.memory_bytes) put("memory", "limit", *r.memory_bytes);
  if (r.swap_bytes && runtime::limits_swap())
    doc.set(doc.ensure_object(root, "unified"), "memory.swap.max", *r.swap_bytes < 0 ? "max" : std::to_string(*r.swap_bytes));
  else if (r.memory_swap_bytes) put("memory", "swap", *r.memory_swap_bytes);
  if (r.memory_reservation_bytes) put("memory", "reservation", *r.memory_reservation_bytes);
  if (r.memory_swappiness) put("memory", "swappiness", int64_t(*r.memory_swappiness));
  if (r.oom_kill_disable) doc.set(doc.ensure_object(root, "memory"), "disableOOMKiller", doc.make_bool(true));
  if (r.pids) put("pids", "limit", *r.pids);
  const bool counted = !r.huge_pages.empty() && runtime::limits_huge_pages();
  if (!counted && std::ranges::any_of(r.huge_pages, [](const auto& size) { return size.second > 0; })) {
    // Whoever asks for pages shares them with all then, as with containerd (tolerate_missing_hugetlb_controller).
    static const bool told =
        (log::warn("engine", "huge pages of containers are not limited: the kernel has no hugetlb controller mounted"), true);
    (void)told;
  }
  if (counted) {
    Node& list = doc.set(root, "hugepageLimits", doc.make_array());
    for (const auto& [size, bytes] : r.huge_pages) {
      Node& item = doc.append(list, doc.make_object());
      doc.set(item, "pageSize", size);
      doc.set(item, "limit", doc.make_number(std::to_string(bytes)));
    }
  }
  if (r.blkio_weight) put("blockIO", "weight", *r.blkio_weight);
  auto devices = [&](const char* key, const char* value_key, const std::vector<Resources::Throttle>& list) {
    if (list.empty()) return;
    Node& out = doc.set(doc.ensure_object(root, "blockIO"), key, doc.make_array());
    for (const auto& one : list) {
      Node& item = doc.append(out, doc.make_object());
      doc.set(item, "major", doc.make_int(one.major));
      doc.set(item, "minor", doc.make_int(one.minor));
      doc.set(item, value_key, doc.make_number(std::to_string(one.value)));
    }
  };
  devices("weightDevice", "weight", r.blkio_weight_device);
  devices("throttleReadBpsDevice", "rate", r.read_bps);
  devices("throttleWriteBpsDevice", "rate", r.write_bps);
  devices("throttleReadIOPSDevice", "rate", r.read_iops);
  devices("throttleWriteIOPSDevice", "rate", r.write_iops);
  return json::print(root);
}

const std::vector<std::string>& default_masked_paths() {
  static const std::vector<std::string> paths{
      "/proc/asound",     "/proc/acpi",        "/proc/interrupts",  "/proc/kcore", "/proc/keys",    "/proc/latency_stats",
      "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi",  "/sys/firmware", "/sys/devices/virtual/powercap"};
  return paths;
}

const std::vector<std::string>& default_readonly_paths() {
  static const std::vector<std::string> paths{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
  return paths;
}

Result<std::string> bundle_config(const BundleInput& input) { return Bundle(input).text(); }

}  // namespace estiba::engine
