// Control groups, version 1 and 2, behind one interface: cgroups(7), Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst.
//
// A Cgroup is a path such as "/estiba/pod1/web" below the root of the hierarchy (v2), or below the root of every controller's
// hierarchy (v1, each mounted at its own place). Values are given in the terms of the OCI runtime spec, which are those of v1;
// for v2 they are converted as runc and crun do.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "os/fd.h"

namespace estiba::os {

struct DeviceRule {
  bool allow = false;
  char type = 'a';                      ///< 'a', 'b' or 'c'
  std::optional<int64_t> major, minor;  ///< none: any
  std::string access = "rwm";
};

struct BlkioDevice {
  int64_t major = 0, minor = 0;
  uint64_t value = 0;  ///< weight, bytes/s or operations/s
};

struct CgroupResources {
  std::optional<uint64_t> cpu_shares;   ///< v1 weight, 2–262144; v2: cpu.weight
  std::optional<int64_t> cpu_quota_us;  ///< per period; ≤ 0: no limit
  std::optional<uint64_t> cpu_period_us;
  std::optional<uint64_t> cpu_burst_us;
  std::optional<int64_t> cpu_idle;
  std::optional<std::string> cpuset_cpus, cpuset_mems;
  std::optional<int64_t> memory_limit;        ///< bytes; -1: no limit
  std::optional<int64_t> memory_reservation;  ///< v1 soft limit; v2 memory.low
  std::optional<int64_t> memory_swap;         ///< memory and swap together, bytes; -1: no limit
  std::optional<uint64_t> swappiness;         ///< v1 only
  std::optional<bool> disable_oom_killer;     ///< v1 only
  std::optional<int64_t> pids_limit;          ///< ≤ 0: no limit
  std::optional<uint16_t> blkio_weight;
  std::vector<BlkioDevice> blkio_weight_device, read_bps, write_bps, read_iops, write_iops;
  std::vector<std::pair<std::string, uint64_t>> hugepages;           ///< "2MB" → bytes
  std::optional<uint32_t> network_class;                             ///< v1 only: tc's handle, 0xAAAABBBB
  std::vector<std::pair<std::string, uint32_t>> network_priorities;  ///< v1 only: interface → priority
  std::vector<std::pair<std::string, std::string>> rdma;             ///< device → "hca_handle=2 hca_object=max"
  std::vector<DeviceRule> devices;                                   ///< in order, the last match counts; empty: nothing is said
  std::map<std::string, std::string> unified;                        ///< v2 files written as they are
};

/// What a device did for a group since it was made.
struct CgroupIo {
  uint64_t major = 0, minor = 0;
  uint64_t read_bytes = 0, write_bytes = 0, read_ops = 0, write_ops = 0;
};

struct CgroupStats {
  uint64_t cpu_usage_ns = 0, cpu_user_ns = 0, cpu_system_ns = 0;
  uint64_t cpu_periods = 0, cpu_throttled_periods = 0, cpu_throttled_ns = 0;
  uint64_t memory_usage = 0;        ///< bytes, with page cache
  uint64_t memory_working_set = 0;  ///< usage without inactive file pages, as the kubelet reports it
  uint64_t memory_rss = 0, memory_cache = 0, memory_max_usage = 0;
  uint64_t memory_limit = 0;  ///< 0: none
  uint64_t page_faults = 0, major_page_faults = 0;
  uint64_t pids = 0, pids_limit = 0;
  uint64_t io_read_bytes = 0, io_write_bytes = 0, io_read_ops = 0, io_write_ops = 0;
  uint64_t oom_kills = 0;
  uint64_t memory_failures = 0;                 ///< how often the limit was met
  std::vector<uint64_t> cpu_each_ns;            ///< by CPU; v1 only
  std::map<std::string, uint64_t> memory_stat;  ///< memory.stat, its own names
  std::vector<CgroupIo> io;                     ///< by device
};

enum class CgroupMode : uint8_t { v1, v2 };

/// Where the controllers of this machine are, read once from mountinfo.
struct CgroupHost {
  CgroupMode mode = CgroupMode::v2;
  std::string unified;                                  ///< mount point of the v2 hierarchy, "" if none
  std::vector<std::pair<std::string, std::string>> v1;  ///< controller (or "name=systemd") → mount point
  /// v1 counts when at least the memory or the cpu controller is mounted as v1 (hybrid trees are driven as v1).
  static Result<CgroupHost> detect();
  const std::string* v1_mount(std::string_view controller) const;
};
/// The detected host, kept after the first call.
Result<const CgroupHost*> cgroup_host();

class Cgroup {
 public:
  Cgroup() = default;
  /// Names a group; touches nothing. `path` begins with "/" and has no "..".
  static Result<Cgroup> at(const std::string& path);

  const std::string& path() const { return path_; }
  /// The directory in v2, or of `controller` in v1; "" when that controller is not there.
  std::string directory(std::string_view controller = "memory") const;
  bool exists() const;

  /// Makes the group and its parents. v2: enables all controllers on the way down. v1: fills cpuset from the parent.
  Result<void> create() const;
  /// Writes the given values and leaves others alone. Errors name the file. Weights that the kernel lacks are skipped.
  Result<void> apply(const CgroupResources& resources) const;
  /// Moves a process in (0: this one).
  Result<void> add(pid_t pid) const;
  /// v2: a descriptor for CLONE_INTO_CGROUP; v1: an empty Fd.
  Result<Fd> open_for_clone() const;
  /// v1: the `tasks` file of every hierarchy, for enter(); v2: none.
  Result<std::vector<Fd>> open_tasks() const;
  /// Moves this thread into the group whose open_tasks() these are; for a process of one thread. It costs a hundredth of add(), which waits
  /// until no process of the machine forks or ends (cgroup_threadgroup_rwsem, kernel/cgroup/cgroup.c, cgroup_procs_write_start()).
  static Result<void> enter(std::span<const Fd> tasks);
  /// v2: gives `uid` the directory and those files in it that /sys/kernel/cgroup/delegate lists, so that it may make groups below and move
  /// processes between them. v1: nothing, since there is no safe delegation.
  Result<void> delegate(uid_t uid) const;
  /// Of this group, and with `recursive` of those below it too.
  Result<std::vector<pid_t>> pids(bool recursive) const;
  Result<void> freeze() const;  ///< returns when all are frozen
  Result<void> thaw() const;
  Result<bool> frozen() const;
  /// Kills all processes of the group and below: cgroup.kill where the kernel has it, else freeze, SIGKILL, thaw.
  Result<void> kill_all() const;
  Result<CgroupStats> stats() const;
  /// Removes the group and those below it, once its processes are gone; retries while the last ones end. Missing is fine.
  Result<void> remove() const;
  /// Removes this group alone, if nothing is in or below it; else leaves it.
  void remove_if_empty() const;
  /// This group's path per controller as OCI state files list them.
  std::vector<std::pair<std::string, std::string>> directories() const;

 private:
  std::string path_;
};

/// Tells of out-of-memory kills without polling: `fd()` becomes readable, then `check()` says how many there have been.
/// v1: eventfd on memory.oom_control; v2: inotify on memory.events.
class OomWatch {
 public:
  static Result<OomWatch> open(const Cgroup& group);
  int fd() const { return fd_.get(); }
  /// Takes in the notification; returns the number of kills in the group since it was made (on v1 also counts an
  /// OOM situation that ended the group).
  Result<uint64_t> check();

 private:
  Fd fd_;
  Fd control_;
  std::string events_file_;
};

/// The cgroup path of a process as the runtime would name it (v2 path, or v1's of memory), "/" at the top.
Result<std::string> cgroup_of(pid_t pid);

}  // namespace estiba::os
