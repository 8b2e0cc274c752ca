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
  std::optional<int64_t> swap_bytes;         ///< swap alone, -1: any; in place of memory_swap_bytes where cgroup v2 can tell
  std::optional<int64_t> pids;
  std::vector<std::pair<std::string, uint64_t>> huge_pages;  ///< size as the kernel names it ("2MB") → bytes, where they can be limited
  std::string cpuset_cpus, cpuset_mems;
  std::optional<int> oom_score_adj;  ///< -1000…1000; lowering it may be refused by the kernel, which is not an error
  std::optional<int64_t> memory_reservation_bytes;
  std::optional<uint64_t> memory_swappiness;  ///< 0…100; cgroup v1 only
  bool oom_kill_disable = false;              ///< cgroup v1 only
  std::optional<uint16_t> blkio_weight;       ///< 10…1000
  struct Throttle {
    int64_t major = 0, minor = 0;
    uint64_t value = 0;  ///< weight, bytes/s or operations/s
  };
  std::vector<Throttle> blkio_weight_device, read_bps, write_bps, read_iops, write_iops;
  std::vector<std::string> device_rules;  ///< "c 13:* rwm", allowed beside the usual ones; for a container, not for update()
};

/// The user namespace of a sandbox: whoever is root in its containers is not the host's.
struct UserNamespace {
  struct Range {
    uint32_t inside = 0, outside = 0, size = 0;
    bool operator==(const Range&) const = default;
  };
  std::string path;  ///< where it is bound; empty: the host's. The sandbox's network namespace belongs to it
  std::vector<Range> uids, gids;

  explicit operator bool() const { return !path.empty(); }
};

/// The pod's shared part.
struct SandboxSpec {
  std::string uid;  ///< identity; names /run/estiba/pods/<uid>
  std::string name, ns;
  std::string owner;       ///< who runs it: "" is the node, "docker" the Docker engine, "build" the builder; nobody touches another's
  std::string hostname;    ///< empty: the host's name and UTS namespace
  std::string domainname;  ///< NIS domain name, with a hostname only
  std::string netns_path;  ///< a bound network namespace, "/run/…"; empty means the host's network
  UserNamespace users;     ///< not with the host's network, processes or IPC
  bool host_pid = false, host_ipc = false;
  bool share_process_namespace = false;
  uint64_t shm_bytes = 64 << 20;  ///< of the /dev/shm that its containers share (Engine::shm_dir); 0: there is none
  std::string resolv_conf;        ///< contents for /etc/resolv.conf of each container; empty leaves the image's
  std::string hosts;              ///< contents for /etc/hosts; empty leaves the image's
  Labels sysctls;                 ///< "net.ipv4.ip_unprivileged_port_start" → "0"
  std::string
      cgroup_parent;    ///< the pod's own group, "/estiba/burstable/pod<uid>"; made by run_sandbox, removed by remove_sandbox; empty: none
  Resources resources;  ///< of the pod's group
  std::string log_dir;  ///< "/var/log/pods/<ns>_<name>_<uid>"; made when missing; empty: containers do not log
  Labels labels, annotations;  ///< kept for whoever asks, not interpreted
};

struct Mount {
  /// none, host_to_container and bidirectional are Kubernetes' words for rprivate, rslave and rshared; the others hold for the
  /// mount alone, without what is mounted below it.
  enum class Propagation : unsigned char { none, host_to_container, bidirectional, one_private, one_slave, one_shared };
  std::string host_path;
  std::string container_path;
  bool readonly = false;
  Propagation propagation = Propagation::none;
  bool recursive = true;            ///< with what is mounted below host_path
  bool readonly_recursive = false;  ///< `readonly` holds for mounts below as well
  /// Instead of host_path: an image that is here, by reference or id. What its layers hold together is mounted, read-only and without
  /// programs to run, and keeps the image from removal for as long as the container is there.
  std::string image;
  std::string sub_path;  ///< with `image`: what of it, symlinks resolved inside; empty: all
  /// Whose the files are: ids on the disk (inside) as ids of the host. None: those of the sandbox's user namespace, so that what is root's
  /// on the disk is the container's root's; without one, as on the disk.
  std::vector<UserNamespace::Range> uids, gids;
};

/// A tmpfs of the container's own.
struct Tmpfs {
  std::string container_path;
  uint64_t size_bytes = 0;           ///< 0: half of the memory
  std::optional<uint32_t> mode;      ///< 01777 when not given
  std::vector<std::string> options;  ///< further mount options, "exec", "uid=1000"; nosuid, nodev and noexec are set unless undone here
};

/// "nofile", "core", … as ulimit(3) of Docker names them (RLIMIT_NOFILE); -1 is unlimited.
struct Ulimit {
  std::string name;
  int64_t soft = 0, hard = 0;
};

/// Namespaces that a container joins instead of having its sandbox's or its own: paths such as "/proc/<pid>/ns/ipc".
struct JoinedNamespaces {
  std::string ipc, pid, uts;
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
  std::string image;     ///< reference ("nginx:1.29") or image id ("sha256:…"); must be present. Empty: `layers`
  /// Instead of an image: unpacked layers, lowest first (none: an empty root), and where the writable layer is, made when missing and kept
  /// by its removal. It must be on the file system of <data-dir>. Empty: Engine::upper_dir(id), which goes with the container.
  std::vector<std::string> layers;
  std::string upper_dir;
  /// The root was made by make_root() and stays, unmounted, when the container or its sandbox is removed.
  bool keep_root = false;

  std::vector<std::string> command;                      ///< replaces the image's Entrypoint, and then its Cmd is not used
  std::vector<std::string> args;                         ///< replaces the image's Cmd
  std::vector<std::pair<std::string, std::string>> env;  ///< over the image's Env, in this order
  /// `env` is all there is: the image's Env, Entrypoint and Cmd are not looked at. PATH, HOSTNAME, HOME and, with a terminal, TERM are
  /// still given where they are missing.
  bool env_is_whole = false;
  std::string working_dir;  ///< empty: the image's, else "/"
  User user;
  std::vector<Mount> mounts;
  std::vector<Tmpfs> tmpfs;
  uint64_t shm_bytes = 0;  ///< a /dev/shm of its own of that size; 0: the sandbox's
  /// A directory whose resolv.conf, hosts and hostname (those that exist) are mounted in /etc, writable, instead of the sandbox's: who
  /// rewrites one of these files in place changes what the container sees.
  std::string files_dir;
  std::vector<Device> devices;
  std::vector<std::string> cdi_devices;  ///< "vendor.com/gpu=0" (engine/cdi.h)
  Resources resources;
  std::string cgroup;  ///< its group, "/docker/<id>", made and removed with the container; empty: below the sandbox's, or none
  std::vector<Ulimit> ulimits;
  JoinedNamespaces join;
  bool host_cgroup_namespace = false;
  bool init = false;  ///< a small init as the first process, which reaps and passes signals on

  bool privileged = false;
  std::vector<std::string> capabilities_add, capabilities_drop;  ///< "NET_ADMIN", "ALL"
  bool readonly_root = false;
  bool no_new_privileges = false;  ///< allowPrivilegeEscalation: false
  enum class Seccomp : unsigned char { runtime_default, unconfined, profile };
  Seccomp seccomp = Seccomp::unconfined;
  std::string seccomp_profile;       ///< with Seccomp::profile: JSON in Docker's format (engine/seccomp.h)
  bool default_masked_paths = true;  ///< procMount: Unmasked sets this false
  std::optional<std::vector<std::string>> masked_paths, readonly_paths;  ///< instead of the usual ones

  bool tty = false;
  bool stdin_open = false, stdin_once = false;
  std::string log_path;               ///< relative to the sandbox's log_dir, "<container>/<attempt>.log"; empty: no log
  uint64_t log_max_bytes = 10 << 20;  ///< the log is rotated when it would grow beyond this; 0: never
  uint32_t log_max_files = 5;         ///< with the current one
  int stop_signal = 0;                ///< 0: the image's StopSignal, else SIGTERM
  Labels labels, annotations;         ///< kept for whoever asks, not interpreted
};

/// What is hidden from, and what is read-only for, a container that says nothing else.
const std::vector<std::string>& default_masked_paths();
const std::vector<std::string>& default_readonly_paths();

enum class ContainerState : unsigned char { created, running, exited };

/// Whom a container's first process runs as: numbers, whatever its user was called by.
struct NumericUser {
  uint32_t uid = 0, gid = 0;
  std::vector<uint32_t> groups;  ///< all of them, ascending, the primary one among them

  bool operator==(const NumericUser&) const = default;
};

struct ContainerStatus {
  std::string id, name, pod_uid;
  uint32_t attempt = 0;
  ContainerState state = ContainerState::created;
  bool paused = false;  ///< while it runs
  int pid = 0;          ///< of the first process, in the engine's PID namespace, while it runs
  int exit_code = 0;    ///< 128 + N when killed by signal N
  int signal = 0;       ///< that N
  bool oom_killed = false;
  std::string reason;                         ///< once exited: Completed, Error, OOMKilled, StartError, ContainerCannotRun
  std::string message;                        ///< why it could not start
  WallTime created{}, started{}, finished{};  ///< the epoch when not yet
  std::string image;                          ///< as asked for
  std::string image_id;                       ///< "sha256:…" digest of the image's configuration
  std::string image_ref;                      ///< "docker.io/library/nginx@sha256:…" when known, else image_id
  std::string log_path;                       ///< absolute
  int stop_signal = 0;                        ///< what stops it: its spec's, its image's or SIGTERM
  std::optional<NumericUser> user;            ///< once it is made
  Labels labels, annotations;
};

struct SandboxStatus {
  std::string uid, name, ns, owner;
  bool ready = false;  ///< false once stopped, or when its shim has died
  WallTime created{};
  int shim_pid = 0;
  std::string netns_path, cgroup_parent, log_dir;
  Labels labels, annotations;
  std::vector<ContainerStatus> containers;  ///< oldest first
};

/// What the cgroup of a container says. Network figures are those of its namespace, not of a container.
struct ContainerStats {
  std::string id;
  WallTime at{};
  uint64_t cpu_ns = 0;  ///< since the start
  uint64_t cpu_user_ns = 0, cpu_system_ns = 0;
  std::vector<uint64_t> cpu_each_ns;  ///< by CPU; cgroup v1 only
  uint64_t cpu_periods = 0, cpu_throttled_periods = 0, cpu_throttled_ns = 0;
  uint64_t memory_bytes = 0, working_set_bytes = 0, rss_bytes = 0;
  uint64_t memory_max_bytes = 0;                ///< the most it ever was; 0: not told
  uint64_t memory_limit_bytes = 0;              ///< 0: none
  uint64_t memory_failures = 0;                 ///< how often the limit was met
  std::map<std::string, uint64_t> memory_stat;  ///< memory.stat as the kernel has it
  uint64_t oom_kills = 0;
  uint64_t pids = 0, pids_limit = 0;  ///< limit 0: none
  struct Io {
    uint64_t major = 0, minor = 0;
    std::string operation;  ///< "read" or "write"
    uint64_t bytes = 0, count = 0;
  };
  std::vector<Io> io;
  uint64_t rootfs_bytes = 0, rootfs_inodes = 0;  ///< of the writable layer, when asked for
};

struct Event {
  enum class Type : unsigned char { container_started, container_exited, oom, sandbox_died };
  Type type;
  std::string pod_uid;
  std::string container_id;  ///< empty for sandbox_died
};

}  // namespace estiba::engine
