// cgroup version 2: Documentation/admin-guide/cgroup-v2.rst
#include <sys/stat.h>

#include <algorithm>

#include "base/strings.h"
#include "os/cgroup_impl.h"
#include "os/file.h"

namespace estiba::os::cgroup_detail {

namespace {

std::string or_max(int64_t value) { return value < 0 ? "max" : std::to_string(value); }

Result<void> apply_cpu(const std::string& dir, const CgroupResources& r) {
  if (r.cpu_shares && *r.cpu_shares) {
    // Shares 2–262144 become weight 1–10000, as runc, crun and Kubernetes do.
    uint64_t shares = std::clamp<uint64_t>(*r.cpu_shares, 2, 262144);
    TRY(write_file(dir + "/cpu.weight", std::to_string(1 + ((shares - 2) * 9999) / 262142)));
  }
  if (r.cpu_idle) TRY(write_file(dir + "/cpu.idle", std::to_string(*r.cpu_idle)));
  if (r.cpu_quota_us || r.cpu_period_us) {
    std::string quota = "max", period = "100000";
    if (auto now = read_file(dir + "/cpu.max")) {
      auto [q, p] = split_once(trim(*now), ' ');
      quota = q;
      if (p) period = *p;
    }
    if (r.cpu_quota_us) quota = *r.cpu_quota_us <= 0 ? "max" : std::to_string(*r.cpu_quota_us);
    if (r.cpu_period_us && *r.cpu_period_us) period = std::to_string(*r.cpu_period_us);
    TRY(write_file(dir + "/cpu.max", quota + " " + period));
  }
  if (r.cpu_burst_us) TRY(write_file(dir + "/cpu.max.burst", std::to_string(*r.cpu_burst_us)));
  if (r.cpuset_cpus) TRY(write_file(dir + "/cpuset.cpus", *r.cpuset_cpus));
  if (r.cpuset_mems) TRY(write_file(dir + "/cpuset.mems", *r.cpuset_mems));
  return {};
}

Result<void> apply_memory(const std::string& dir, const CgroupResources& r) {
  if (r.memory_swap && *r.memory_swap != 0) {
    // The config counts memory and swap together, the kernel's file swap alone.
    int64_t swap = *r.memory_swap;
    if (swap > 0) {
      if (!r.memory_limit || *r.memory_limit <= 0) return fail(Code::invalid, "linux.resources.memory.swap needs a memory limit beside it");
      if (swap < *r.memory_limit) return fail(Code::invalid, "linux.resources.memory.swap must not be less than the memory limit");
      swap -= *r.memory_limit;
    }
    auto done = write_file(dir + "/memory.swap.max", or_max(swap));
    // Without swap accounting the file is missing; nothing can be swapped beyond a limit of 0 then either.
    if (!done && !(done.error().sys == ENOENT && swap <= 0)) return done;
  }
  if (r.memory_limit) TRY(write_file(dir + "/memory.max", or_max(*r.memory_limit == 0 ? -1 : *r.memory_limit)));
  if (r.memory_reservation) TRY(write_file(dir + "/memory.low", or_max(*r.memory_reservation)));
  return {};
}

Result<void> apply_io(const std::string& dir, const CgroupResources& r) {
  if (r.blkio_weight && *r.blkio_weight) {
    // io.bfq.weight takes 1–1000 as v1's blkio.weight; io.weight 1–10000.
    uint64_t weight = *r.blkio_weight;
    if (exists(dir + "/io.bfq.weight")) TRY(write_file(dir + "/io.bfq.weight", std::to_string(weight)));
    else if (exists(dir + "/io.weight")) TRY(write_file(dir + "/io.weight", "default " + std::to_string(1 + (weight - 10) * 9999 / 990)));
  }
  auto each = [&](std::string_view key, const std::vector<BlkioDevice>& devices) -> Result<void> {
    for (const BlkioDevice& d : devices) {
      std::string value = d.value ? std::to_string(d.value) : "max";
      TRY(write_file(dir + "/io.max", std::to_string(d.major) + ":" + std::to_string(d.minor) + " " + std::string(key) + "=" + value));
    }
    return {};
  };
  TRY(each("rbps", r.read_bps));
  TRY(each("wbps", r.write_bps));
  TRY(each("riops", r.read_iops));
  TRY(each("wiops", r.write_iops));
  return {};
}

Result<void> apply_huge_pages(const std::string& dir, const CgroupResources& r) {
  for (const auto& [size, limit] : r.hugepages) {
    const std::string pages = dir + "/hugetlb." + size;
    if (!exists(pages + ".max"))
      return fail(Code::unsupported,
                  "linux.resources.hugepageLimits: " + dir + " has no hugetlb controller, or the kernel no pages of " + size);
    TRY(write_file(pages + ".max", std::to_string(limit)));
    // Since Linux 5.7 what is reserved counts as well: mmap(2) fails then, in place of a signal at the first touch.
    if (exists(pages + ".rsvd.max")) TRY(write_file(pages + ".rsvd.max", std::to_string(limit)));
  }
  return {};
}

void read_io(const std::string& dir, CgroupStats& s) {
  auto text = read_file(dir + "/io.stat");
  if (!text) return;
  for (std::string_view line : split(*text, '\n')) {
    CgroupIo io;
    auto [device, counters] = split_once(line, ' ');
    auto [major, minor] = split_once(device, ':');
    if (!counters || !minor) continue;
    io.major = parse_number<uint64_t>(major).value_or(0);
    io.minor = parse_number<uint64_t>(*minor).value_or(0);
    for (std::string_view field : split(*counters, ' ')) {
      auto [key, value] = split_once(field, '=');
      uint64_t n = value ? parse_number<uint64_t>(*value).value_or(0) : 0;
      if (key == "rbytes") io.read_bytes = n;
      if (key == "wbytes") io.write_bytes = n;
      if (key == "rios") io.read_ops = n;
      if (key == "wios") io.write_ops = n;
    }
    add_io(s, io);
  }
}

}  // namespace

Result<void> v2_apply(const std::string& dir, const CgroupResources& r) {
  TRY(apply_cpu(dir, r));
  TRY(apply_memory(dir, r));
  TRY(apply_io(dir, r));
  if (r.pids_limit && *r.pids_limit) TRY(write_file(dir + "/pids.max", or_max(*r.pids_limit)));
  TRY(apply_huge_pages(dir, r));
  for (const auto& [device, limits] : r.rdma) TRY(write_file(dir + "/rdma.max", device + " " + limits));
  if (r.network_class || !r.network_priorities.empty())
    return fail(Code::unsupported, "linux.resources.network needs cgroup v1: version 2 has no controllers for it");
  for (const auto& [file, value] : r.unified) {
    if (file.find('/') != std::string::npos)
      return fail(Code::invalid, "linux.resources.unified: " + quoted(file) + " is no file of a cgroup");
    TRY(write_file(dir + "/" + file, value));
  }
  if (!r.devices.empty()) TRY(v2_set_devices(dir, r.devices));
  return {};
}

Result<CgroupStats> v2_stats(const std::string& dir) {
  CgroupStats s;
  if (auto text = read_file(dir + "/cpu.stat")) {
    s.cpu_usage_ns = find_value(*text, "usage_usec").value_or(0) * 1000;
    s.cpu_user_ns = find_value(*text, "user_usec").value_or(0) * 1000;
    s.cpu_system_ns = find_value(*text, "system_usec").value_or(0) * 1000;
    s.cpu_periods = find_value(*text, "nr_periods").value_or(0);
    s.cpu_throttled_periods = find_value(*text, "nr_throttled").value_or(0);
    s.cpu_throttled_ns = find_value(*text, "throttled_usec").value_or(0) * 1000;
  }
  s.memory_usage = read_number(dir + "/memory.current").value_or(0);
  s.memory_max_usage = read_number(dir + "/memory.peak").value_or(0);
  s.memory_limit = read_number(dir + "/memory.max").value_or(0);
  if (auto text = read_file(dir + "/memory.stat")) {
    s.memory_stat = read_values(*text);
    s.memory_rss = find_value(*text, "anon").value_or(0);
    s.memory_cache = find_value(*text, "file").value_or(0);
    s.page_faults = find_value(*text, "pgfault").value_or(0);
    s.major_page_faults = find_value(*text, "pgmajfault").value_or(0);
    // As version 1 has it among the others.
    if (const auto swap = read_number(dir + "/memory.swap.current")) s.memory_stat["swap"] = *swap;
    if (const auto most = read_file(dir + "/memory.swap.max"))
      if (const auto bytes = parse_number<uint64_t>(trim(*most))) s.memory_stat["swap_limit"] = *bytes;
    uint64_t inactive = find_value(*text, "inactive_file").value_or(0);
    s.memory_working_set = s.memory_usage > inactive ? s.memory_usage - inactive : 0;
  }
  if (auto text = read_file(dir + "/memory.events")) {
    s.oom_kills = find_value(*text, "oom_kill").value_or(0);
    s.memory_failures = find_value(*text, "max").value_or(0);
  }
  s.pids = read_number(dir + "/pids.current").value_or(0);
  s.pids_limit = read_number(dir + "/pids.max").value_or(0);
  read_io(dir, s);
  return s;
}

Result<void> v2_set_frozen(const std::string& dir, bool frozen) {
  TRY(write_file(dir + "/cgroup.freeze", frozen ? "1" : "0"));
  return await_line(dir + "/cgroup.events", frozen ? "frozen 1" : "frozen 0");
}

}  // namespace estiba::os::cgroup_detail
