// Containers' groups as systemd's own (--systemd-cgroup): each is a transient scope unit with the container's process in it. systemd is
// the one writer of its tree, so it makes the group, knows the limits (a daemon-reload writes them again) and ends the unit; what it has
// no property for goes into the group's files as ever, which Delegate= allows. org.freedesktop.systemd1(5), CGROUP_DELEGATION.md
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "os/cgroup.h"
#include "runtime/systemd_bus.h"

namespace estiba::runtime {

struct ScopeName {
  std::string slice, unit;  ///< "system.slice", "cri-containerd-1f.scope"
};
/// Of "slice:prefix:name" in linux.cgroupsPath; nothing there is "system.slice:estiba-oci:<id>". Code::invalid for another form.
Result<ScopeName> scope_name(const std::string& cgroups_path, const std::string& id);

struct UnitProperty {
  std::string name;
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  std::variant<bool, uint64_t, std::string, std::vector<uint32_t>, std::vector<uint8_t>, Pairs> value;  ///< b, t, s, au, ay, a(ss)
  bool newer = false;  ///< not known to every systemd; left out where it is refused
};
/// What systemd has a property for; the rest is for the files alone. Code::invalid for lists of CPUs that are none.
Result<std::vector<UnitProperty>> unit_properties(const os::CgroupResources& resources, os::CgroupMode mode);

class Systemd {
 public:
  static Result<Systemd> connect(std::chrono::milliseconds limit = std::chrono::seconds(30));

  /// Makes the unit with `pid` in it, and returns when systemd has. A unit of that name that has failed is taken away first;
  /// Code::already_exists for one that runs.
  Result<void> start_scope(const ScopeName& name, const std::string& description, pid_t pid, const std::vector<UnitProperty>& properties);
  /// Until the machine's or the unit's end.
  Result<void> set_properties(const std::string& unit, const std::vector<UnitProperty>& properties);
  /// Ends the unit and returns when it has ended; one that is not there is fine.
  Result<void> stop(const std::string& unit);

 private:
  explicit Systemd(SystemdBus bus) : bus_(std::move(bus)) {}
  Result<std::string> run_job(std::string member, std::string signature, std::string body);
  void forget_failed(const std::string& unit);

  SystemdBus bus_;
};

/// The group in which systemd has put the process, as a path for os::Cgroup.
Result<std::string> group_of_unit(pid_t pid, const std::string& unit);

}  // namespace estiba::runtime
