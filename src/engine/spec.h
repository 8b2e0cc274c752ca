// What the engine is asked to run: sandboxes (the shared part of a pod) and containers, without any Kubernetes type, so
// that the node, Docker's API and CRI can all speak it.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/executor.h"

namespace estiba::engine {

using Labels = std::map<std::string, std::string>;

/// Limits of a container or of a whole pod; what is not set is not limited.
struct Resources {
  std::optional<uint64_t> cpu_shares;     ///< cgroup v1 scale, 2…262144; translated to cpu.weight on v2
  std::optional<int64_t> cpu_quota_us;    ///< microseconds of CPU in each period; <= 0 is unlimited
  std::optional<uint64_t> cpu_period_us;  ///< 100000 when not given
  std::optional<int64_t> memory_bytes;
  std::optional<int64_t> memory_swap_bytes;  ///< memory + swap
  std::optional<int64_t> pids;
  std::string cpuset_cpus, cpuset_mems;
  std::optional<int> oom_score_adj;  ///< -1000…1000; lowering it may be refused by the kernel, which is not an error
};

/// The pod's shared part.
struct SandboxSpec {
  std::string uid;  ///< identity; names /run/estiba/pods/<uid>
  std::string name, ns;
  std::string hostname;    ///< empty with host_network: the host's
  std::string netns_path;  ///< a bound network namespace, "/run/…"; empty means the host's network
  bool host_pid = false, host_ipc = false;
  bool share_process_namespace = false;
  std::string resolv_conf;     ///< contents for /etc/resolv.conf of each container; empty leaves the image's
  std::string hosts;           ///< contents for /etc/hosts; empty leaves the image's
  Labels sysctls;              ///< "net.ipv4.ip_unprivileged_port_start" → "0"
  std::string cgroup_parent;   ///< the pod's own group, "/estiba/burstable/pod<uid>"; made by run_sandbox, removed by remove_sandbox
  Resources resources;         ///< of the pod's group
  std::string log_dir;         ///< "/var/log/pods/<ns>_<name>_<uid>"; made when missing; empty: containers do not log
  Labels labels, annotations;  ///< kept for whoever asks, not interpreted
};

struct Mount {
  enum class Propagation : unsigned char { none, host_to_container, bidirectional };
  std::string host_path;
  std::string container_path;
  bool readonly = false;
  Propagation propagation = Propagation::none;
};

struct Device {
  std::string host_path, container_path;
  std::string permissions = "rwm";
};

/// Whom a container runs as. Names are looked up in the image's own /etc/passwd and /etc/group.
struct User {
  std::string user;             ///< "", "1000", "www-data", "1000:1000", "name:group"; empty: the image's User, else root
  std::optional<int64_t> uid;   ///< wins over `user`
  std::optional<int64_t> gid;   ///< wins over the group that `user` implies
  std::vector<int64_t> groups;  ///< supplementary groups, beside those that the image's /etc/group gives the user
  /// False leaves the image's /etc/group out (supplementalGroupsPolicy: Strict).
  bool groups_from_image = true;
  /// Refuse to start as uid 0 (runAsNonRoot): create_container fails with CreateContainerConfigError.
  bool must_not_be_root = false;
};

struct ContainerSpec {
  std::string id;  ///< 64 hex digits; made up when empty
  std::string name;
  uint32_t attempt = 0;  ///< restart count, kept for logs and status
  std::string image;     ///< reference ("nginx:1.29") or image id ("sha256:…"); must be present

  std::vector<std::string> command;                      ///< replaces the image's Entrypoint, and then its Cmd is not used
  std::vector<std::string> args;                         ///< replaces the image's Cmd
  std::vector<std::pair<std::string, std::string>> env;  ///< over the image's Env, in this order
  std::string working_dir;                               ///< empty: the image's, else "/"
  User user;
  std::vector<Mount> mounts;
  std::vector<Device> devices;
  Resources resources;

  bool privileged = false;
  std::vector<std::string> capabilities_add, capabilities_drop;  ///< "NET_ADMIN", "ALL"
  bool readonly_root = false;
  bool no_new_privileges = false;  ///< allowPrivilegeEscalation: false
  enum class Seccomp : unsigned char { runtime_default, unconfined };
  Seccomp seccomp = Seccomp::unconfined;
  bool default_masked_paths = true;  ///< procMount: Unmasked sets this false

  bool tty = false;
  bool stdin_open = false, stdin_once = false;
  std::string log_path;        ///< relative to the sandbox's log_dir, "<container>/<attempt>.log"; empty: no log
  int stop_signal = 0;         ///< 0: the image's StopSignal, else SIGTERM
  Labels labels, annotations;  ///< kept for whoever asks, not interpreted
};

enum class ContainerState : unsigned char { created, running, exited };

struct ContainerStatus {
  std::string id, name, pod_uid;
  uint32_t attempt = 0;
  ContainerState state = ContainerState::created;
  int pid = 0;        ///< of the first process, in the engine's PID namespace, while it runs
  int exit_code = 0;  ///< 128 + N when killed by signal N
  int signal = 0;     ///< that N
  bool oom_killed = false;
  std::string reason;                         ///< once exited: Completed, Error, OOMKilled, StartError, ContainerCannotRun
  std::string message;                        ///< why it could not start
  WallTime created{}, started{}, finished{};  ///< the epoch when not yet
  std::string image;                          ///< as asked for
  std::string image_id;                       ///< "sha256:…" digest of the image's configuration
  std::string image_ref;                      ///< "docker.io/library/nginx@sha256:…" when known, else image_id
  std::string log_path;                       ///< absolute
  Labels labels, annotations;
};

struct SandboxStatus {
  std::string uid, name, ns;
  bool ready = false;  ///< false once stopped, or when its shim has died
  WallTime created{};
  int shim_pid = 0;
  std::string netns_path, cgroup_parent, log_dir;
  Labels labels, annotations;
  std::vector<ContainerStatus> containers;  ///< oldest first
};

struct ContainerStats {
  std::string id;
  uint64_t cpu_ns = 0;  ///< since the start
  uint64_t memory_bytes = 0, working_set_bytes = 0, rss_bytes = 0;
  uint64_t pids = 0;
  uint64_t rootfs_bytes = 0, rootfs_inodes = 0;  ///< of the writable layer
};

struct Event {
  enum class Type : unsigned char { container_started, container_exited, oom, sandbox_died };
  Type type;
  std::string pod_uid;
  std::string container_id;  ///< empty for sandbox_died
};

}  // namespace estiba::engine
