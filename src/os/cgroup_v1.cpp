// cgroup version 1: Documentation/admin-guide/cgroup-v1/{cpusets,memory,blkio-controller,devices,freezer-subsystem,pids,hugetlb}.rst
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "os/cgroup_impl.h"
#include "os/file.h"

namespace estiba::os::cgroup_detail {

namespace {

// The files of one group, by controller.
class Files {
 public:
  Files(const CgroupHost& host, const std::string& path) : host_(host), path_(path) {}

  Result<void> write(std::string_view controller, std::string_view file, std::string_view value) const {
    const std::string* mount = host_.v1_mount(controller);
    if (!mount) return fail(Code::unsupported, "the " + std::string(controller) + " controller is not mounted, for " + std::string(file));
    return write_file(*mount + path_ + "/" + std::string(file), value);
  }
  template <class N>
    requires std::is_integral_v<N>
  Result<void> write(std::string_view controller, std::string_view file, N value) const {
    return write(controller, file, std::string_view(std::to_string(value)));
  }
  template <class V>
  Result<void> write(std::string_view controller, std::string_view file, const std::optional<V>& value) const {
    return value ? write(controller, file, *value) : Result<void>();
  }
  bool has(std::string_view controller, std::string_view file) const {
    const std::string* mount = host_.v1_mount(controller);
    return mount && exists(*mount + path_ + "/" + std::string(file));
  }
  std::string name(std::string_view controller, std::string_view file) const {
    const std::string* mount = host_.v1_mount(controller);
    return mount ? *mount + path_ + "/" + std::string(file) : std::string();
  }

 private:
  const CgroupHost& host_;
  const std::string& path_;
};

Result<void> apply_cpu(const Files& files, const CgroupResources& r) {
  TRY(files.write("cpu", "cpu.shares", r.cpu_shares));
  if (r.cpu_idle && files.has("cpu", "cpu.idle")) TRY(files.write("cpu", "cpu.idle", r.cpu_idle));
  // A new period that the old quota does not fit is refused; then the quota goes first.
  Result<void> period = files.write("cpu", "cpu.cfs_period_us", r.cpu_period_us);
  if (r.cpu_quota_us) TRY(files.write("cpu", "cpu.cfs_quota_us", *r.cpu_quota_us <= 0 ? int64_t(-1) : *r.cpu_quota_us));
  if (!period) TRY(files.write("cpu", "cpu.cfs_period_us", r.cpu_period_us));
  if (r.cpu_burst_us) TRY(files.write("cpu", "cpu.cfs_burst_us", r.cpu_burst_us));
  TRY(files.write("cpuset", "cpuset.cpus", r.cpuset_cpus));
  TRY(files.write("cpuset", "cpuset.mems", r.cpuset_mems));
  return {};
}

Result<void> apply_memory(const Files& files, const CgroupResources& r) {
  bool memsw = files.has("memory", "memory.memsw.limit_in_bytes");
  auto set_limit = [&] { return files.write("memory", "memory.limit_in_bytes", r.memory_limit); };
  auto set_swap = [&] {
    // "Memory and swap together" must not be below memory; 0 means unset in configs that Docker writes.
    if (!memsw || !r.memory_swap || *r.memory_swap == 0) return Result<void>();
    return files.write("memory", "memory.memsw.limit_in_bytes", r.memory_swap);
  };
  // Growing wants swap first, shrinking memory first: whichever order fits is taken.
  if (auto first = set_limit(); first) {
    TRY(set_swap());
  } else {
    if (first.error().sys == EBUSY) return first;
    TRY(set_swap());
    TRY(set_limit());
  }
  TRY(files.write("memory", "memory.soft_limit_in_bytes", r.memory_reservation));
  if (r.swappiness && *r.swappiness <= 200) TRY(files.write("memory", "memory.swappiness", r.swappiness));
  if (r.disable_oom_killer.value_or(false)) TRY(files.write("memory", "memory.oom_control", 1));
  return {};
}

Result<void> apply_blkio(const Files& files, const CgroupResources& r) {
  if (r.blkio_weight && *r.blkio_weight) {
    // Only with the BFQ scheduler (or, long ago, CFQ) is there a weight at all.
    if (files.has("blkio", "blkio.bfq.weight")) TRY(files.write("blkio", "blkio.bfq.weight", r.blkio_weight));
    else if (files.has("blkio", "blkio.weight")) TRY(files.write("blkio", "blkio.weight", r.blkio_weight));
  }
  auto each = [&](std::string_view file, const std::vector<BlkioDevice>& devices) -> Result<void> {
    for (const BlkioDevice& d : devices) {
      TRY(files.write("blkio", file, std::to_string(d.major) + ":" + std::to_string(d.minor) + " " + std::to_string(d.value)));
    }
    return {};
  };
  if (files.has("blkio", "blkio.weight_device")) TRY(each("blkio.weight_device", r.blkio_weight_device));
  TRY(each("blkio.throttle.read_bps_device", r.read_bps));
  TRY(each("blkio.throttle.write_bps_device", r.write_bps));
  TRY(each("blkio.throttle.read_iops_device", r.read_iops));
  TRY(each("blkio.throttle.write_iops_device", r.write_iops));
  return {};
}

Result<void> apply_devices(const Files& files, const CgroupResources& r) {
  // Each write is one rule; a container has some twenty.
  Fd opened[2];
  std::vector<std::string> allowed;
  auto write = [&](bool allow, const std::string& text) -> Result<void> {
    const std::string name = files.name("devices", allow ? "devices.allow" : "devices.deny");
    if (name.empty()) return fail(Code::unsupported, "the devices controller is not mounted, for rule " + text);
    if (!opened[allow]) opened[allow] = TRY(open_file(name, O_WRONLY));
    return within("write \"" + text + "\" to " + name, write_all(opened[allow].get(), text));
  };
  for (const DeviceRule& rule : r.devices) {
    std::string text(1, rule.type);
    if (rule.type != 'a') {
      text += " " + (rule.major ? std::to_string(*rule.major) : "*") + ":" + (rule.minor ? std::to_string(*rule.minor) : "*") + " " +
              rule.access;
    }
    if (!rule.allow) allowed.clear();
    else if (std::ranges::find(allowed, text) != allowed.end()) continue;
    else allowed.push_back(text);
    TRY(write(rule.allow, text));
  }
  return {};
}

// "8:0 Read 4096" lines of two files: bytes and operations by device.
void read_io(const std::string& bytes_file, const std::string& operations_file, CgroupStats& stats) {
  std::map<std::pair<uint64_t, uint64_t>, CgroupIo> devices;
  auto take = [&](const std::string& file, uint64_t CgroupIo::* read, uint64_t CgroupIo::* write) {
    auto text = read_file(file);
    if (!text) return;
    for (std::string_view line : split(*text, '\n')) {
      auto fields = split(line, ' ');
      if (fields.size() != 3 || (fields[1] != "Read" && fields[1] != "Write")) continue;
      auto [major, minor] = split_once(fields[0], ':');
      std::pair key(parse_number<uint64_t>(major).value_or(0), parse_number<uint64_t>(minor.value_or("")).value_or(0));
      CgroupIo& io = devices[key];
      io.major = key.first;
      io.minor = key.second;
      io.*(fields[1] == "Read" ? read : write) = parse_number<uint64_t>(fields[2]).value_or(0);
    }
  };
  take(bytes_file, &CgroupIo::read_bytes, &CgroupIo::write_bytes);
  take(operations_file, &CgroupIo::read_ops, &CgroupIo::write_ops);
  for (const auto& [key, io] : devices) add_io(stats, io);
}

}  // namespace

Result<void> v1_apply(const CgroupHost& host, const std::string& path, const CgroupResources& r) {
  Files files(host, path);
  TRY(apply_devices(files, r));
  TRY(apply_cpu(files, r));
  TRY(apply_memory(files, r));
  TRY(apply_blkio(files, r));
  if (r.pids_limit && *r.pids_limit)
    TRY(files.write("pids", "pids.max", *r.pids_limit < 0 ? std::string("max") : std::to_string(*r.pids_limit)));
  for (const auto& [size, limit] : r.hugepages) {
    TRY(files.write("hugetlb", "hugetlb." + size + ".limit_in_bytes", limit));
    // Since Linux 5.7 what is reserved counts as well: mmap(2) fails then, in place of a signal at the first touch.
    if (const std::string reserved = "hugetlb." + size + ".rsvd.limit_in_bytes"; files.has("hugetlb", reserved))
      TRY(files.write("hugetlb", reserved, limit));
  }
  if (r.network_class) TRY(files.write("net_cls", "net_cls.classid", *r.network_class));
  for (const auto& [link, priority] : r.network_priorities)
    TRY(files.write("net_prio", "net_prio.ifpriomap", link + " " + std::to_string(priority)));
  for (const auto& [device, limits] : r.rdma) TRY(files.write("rdma", "rdma.max", device + " " + limits));
  if (!r.unified.empty()) return fail(Code::unsupported, "linux.resources.unified needs cgroup v2");
  return {};
}

Result<CgroupStats> v1_stats(const CgroupHost& host, const std::string& path) {
  Files files(host, path);
  CgroupStats s;
  s.cpu_usage_ns = read_number(files.name("cpuacct", "cpuacct.usage")).value_or(0);
  s.cpu_user_ns = read_number(files.name("cpuacct", "cpuacct.usage_user")).value_or(0);
  s.cpu_system_ns = read_number(files.name("cpuacct", "cpuacct.usage_sys")).value_or(0);
  if (auto text = read_file(files.name("cpuacct", "cpuacct.usage_percpu")))
    for (std::string_view cpu : split(trim(*text), ' '))
      if (auto ns = parse_number<uint64_t>(cpu)) s.cpu_each_ns.push_back(*ns);
  if (auto text = read_file(files.name("cpu", "cpu.stat"))) {
    s.cpu_periods = find_value(*text, "nr_periods").value_or(0);
    s.cpu_throttled_periods = find_value(*text, "nr_throttled").value_or(0);
    s.cpu_throttled_ns = find_value(*text, "throttled_time").value_or(0);
  }
  s.memory_usage = read_number(files.name("memory", "memory.usage_in_bytes")).value_or(0);
  s.memory_max_usage = read_number(files.name("memory", "memory.max_usage_in_bytes")).value_or(0);
  s.memory_failures = read_number(files.name("memory", "memory.failcnt")).value_or(0);
  uint64_t limit = read_number(files.name("memory", "memory.limit_in_bytes")).value_or(0);
  s.memory_limit = limit >= (1ULL << 62) ? 0 : limit;  // PAGE_COUNTER_MAX pages: no limit
  if (auto text = read_file(files.name("memory", "memory.stat"))) {
    s.memory_stat = read_values(*text);
    s.memory_rss = find_value(*text, "total_rss").value_or(0);
    s.memory_cache = find_value(*text, "total_cache").value_or(0);
    s.page_faults = find_value(*text, "total_pgfault").value_or(0);
    s.major_page_faults = find_value(*text, "total_pgmajfault").value_or(0);
    uint64_t inactive = find_value(*text, "total_inactive_file").value_or(0);
    s.memory_working_set = s.memory_usage > inactive ? s.memory_usage - inactive : 0;
  }
  if (auto text = read_file(files.name("memory", "memory.oom_control"))) s.oom_kills = find_value(*text, "oom_kill").value_or(0);
  s.pids = read_number(files.name("pids", "pids.current")).value_or(0);
  s.pids_limit = read_number(files.name("pids", "pids.max")).value_or(0);
  read_io(files.name("blkio", "blkio.throttle.io_service_bytes_recursive"), files.name("blkio", "blkio.throttle.io_serviced_recursive"), s);
  return s;
}

Result<void> v1_set_frozen(const CgroupHost& host, const std::string& path, bool frozen) {
  Files files(host, path);
  std::string_view wanted = frozen ? "FROZEN" : "THAWED";
  // FREEZING becomes FROZEN when the file is read or written again and all have stopped; a fork in the meantime needs a
  // second write. No event tells of it (freezer-subsystem.rst).
  for (int round = 0; round < 500; round++) {
    TRY(files.write("freezer", "freezer.state", wanted));
    if (trim(TRY(read_file(files.name("freezer", "freezer.state")))) == wanted) return {};
    usleep(round < 50 ? 100 : 10000);
  }
  (void)files.write("freezer", "freezer.state", std::string_view("THAWED"));
  return fail(Code::timeout, "cgroup " + path + " does not freeze");
}

Result<void> v1_inherit_cpuset(const std::string& mount, const std::string& path) {
  const std::string leaf = mount + path;
  if (!trim(TRY(read_file(leaf + "/cpuset.cpus"))).empty() && !trim(TRY(read_file(leaf + "/cpuset.mems"))).empty()) return {};
  // From now on the kernel does it for the groups beside this one (cpusets.rst, 1.7).
  if (const size_t slash = path.rfind('/'); slash > 0) (void)write_file(mount + path.substr(0, slash) + "/cgroup.clone_children", "1");
  std::string parent = mount;
  for (std::string_view name : split(path, '/')) {
    if (name.empty()) continue;
    std::string dir = parent + "/" + std::string(name);
    for (std::string_view file : {"/cpuset.cpus", "/cpuset.mems"}) {
      std::string own = dir + std::string(file);
      if (!trim(TRY(read_file(own))).empty()) continue;
      TRY(write_file(own, trim(TRY(read_file(parent + std::string(file))))));
    }
    parent = dir;
  }
  return {};
}

}  // namespace estiba::os::cgroup_detail
