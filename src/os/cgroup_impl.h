// What cgroup.cpp needs from the two versions. `dir` is the group's directory (v2); `path` its path (v1).
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "os/cgroup.h"

namespace estiba::os::cgroup_detail {

Result<void> v1_apply(const CgroupHost& host, const std::string& path, const CgroupResources& resources);
Result<CgroupStats> v1_stats(const CgroupHost& host, const std::string& path);
Result<void> v1_set_frozen(const CgroupHost& host, const std::string& path, bool frozen);
/// Gives an empty cpuset group its parent's CPUs and memory nodes; without them no process can be added.
Result<void> v1_inherit_cpuset(const std::string& mount, const std::string& path);

Result<void> v2_apply(const std::string& dir, const CgroupResources& resources);
Result<CgroupStats> v2_stats(const std::string& dir);
Result<void> v2_set_frozen(const std::string& dir, bool frozen);
/// Attaches a BPF program (BPF_PROG_TYPE_CGROUP_DEVICE) that decides by the rules.
Result<void> v2_set_devices(const std::string& dir, const std::vector<DeviceRule>& rules);

/// Kernel files as numbers: "max" is 0, a missing or unreadable file is nullopt.
std::optional<uint64_t> read_number(const std::string& file);
/// The value after `key` in a file of "key value" lines.
std::optional<uint64_t> find_value(std::string_view text, std::string_view key);
/// All "key number" lines.
std::map<std::string, uint64_t> read_values(std::string_view text);
/// Enters what a device did, and adds it to the sums.
void add_io(CgroupStats& stats, const CgroupIo& io);
/// Waits (inotify, at most 10 s) until `file` has the line `line`.
Result<void> await_line(const std::string& file, std::string_view line);

}  // namespace estiba::os::cgroup_detail
