// The OCI runtime specification 1.2: config.json as structs. https://github.com/opencontainers/runtime-spec
//
// Names follow the specification in snake_case. What a config leaves out is empty, nullopt or the default below. parse_spec
// checks everything that can be checked without the kernel; its errors name the field ("linux.namespaces[2].type").
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/json.h"
#include "os/cgroup.h"
#include "os/seccomp.h"
#include "os/user_namespace.h"

namespace estiba::runtime {

struct SpecUser {
  uint32_t uid = 0, gid = 0;
  std::optional<uint32_t> umask;
  std::vector<uint32_t> additional_gids;
};

struct SpecCapabilities {
  std::vector<std::string> bounding, effective, inheritable, permitted, ambient;
};

struct SpecRlimit {
  std::string type;  ///< "RLIMIT_NOFILE"
  uint64_t soft = 0, hard = 0;
};

struct SpecProcess {
  bool terminal = false;
  std::optional<std::pair<uint16_t, uint16_t>> console_size;  ///< width, height
  SpecUser user;
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd = "/";
  std::optional<SpecCapabilities> capabilities;
  std::vector<SpecRlimit> rlimits;
  bool no_new_privileges = false;
  std::string apparmor_profile, selinux_label;
  std::optional<int> oom_score_adj;
};

struct SpecMount {
  std::string destination, type, source;
  std::vector<std::string> options;
  os::IdMappings uid_mappings, gid_mappings;  ///< of an id-mapped mount; none: those of the container's user namespace
};

struct SpecHook {
  std::string path;
  std::vector<std::string> args, env;
  std::optional<int> timeout_seconds;
};
struct SpecHooks {
  std::vector<SpecHook> prestart, create_runtime, create_container, start_container, poststart, poststop;
};

struct SpecNamespace {
  int kind = 0;      ///< CLONE_NEW*
  std::string path;  ///< join this one; empty: make a new one
};

struct SpecDevice {
  std::string path;
  char type = 'c';  ///< 'c', 'u', 'b' or 'p'
  int64_t major = 0, minor = 0;
  std::optional<uint32_t> file_mode, uid, gid;
};

struct SpecTimeOffset {
  std::string clock;  ///< "monotonic" or "boottime"
  int64_t secs = 0;
  uint32_t nanosecs = 0;
};

struct SpecLinux {
  std::vector<SpecNamespace> namespaces;
  os::IdMappings uid_mappings, gid_mappings;
  std::vector<SpecTimeOffset> time_offsets;
  std::vector<SpecDevice> devices;
  std::string cgroups_path;
  std::optional<os::CgroupResources> resources;
  std::string rootfs_propagation;
  std::optional<os::SeccompFilter> seccomp;
  std::map<std::string, std::string> sysctl;
  std::vector<std::string> masked_paths, readonly_paths;
  std::string mount_label;
};

struct Spec {
  std::string oci_version;
  SpecProcess process;
  bool has_process = false;
  std::string root_path;
  bool root_readonly = false;
  std::string hostname, domainname;
  std::vector<SpecMount> mounts;
  SpecHooks hooks;
  std::map<std::string, std::string> annotations;
  SpecLinux linux_;

  const SpecNamespace* find_namespace(int kind) const;
  /// Whether the container has another user namespace than the caller.
  bool has_user_namespace() const;
};

/// Code::malformed for what is no JSON, Code::invalid for what breaks the specification.
Result<Spec> parse_spec(std::string_view text);
/// The `process` object alone, as `exec --process` takes it.
Result<SpecProcess> parse_process(const json::Node& node, const std::string& field);
/// `linux.resources`, as `update --resources` takes it.
Result<os::CgroupResources> parse_resources(const json::Node& node, const std::string& field);
/// The config that `estiba-oci spec` prints.
std::string default_spec_text();

}  // namespace estiba::runtime
