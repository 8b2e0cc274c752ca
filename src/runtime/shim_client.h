// ShimClient: how the server drives the shim of one pod. A pod's shim is a process `estiba-oci shim` that holds the pod's
// namespaces, is the parent of its containers, writes their logs and outlives the server. docs/shim-protocol.md has the
// wire format.
//
// All calls are coroutines on the io::Loop where the client was made; answers come in any order, so several coroutines may
// use one client at a time. When the connection breaks, every waiting call fails with Code::unavailable and `closed()`
// becomes true; connect() again, or, if that says Code::not_found or Code::unavailable, the shim is gone: cleanup_pod().
//
// Namespaces: in the configs of the pod's containers, a namespace that is not listed is the pod's (the shim's own). So
// list mount and cgroup, and pid unless the pod shares one; leave out network, ipc and uts.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/function.h"
#include "base/result.h"
#include "base/task.h"
#include "os/cgroup.h"
#include "os/fd.h"

namespace estiba::runtime {

struct LogOptions {
  std::string path;               ///< "/var/log/pods/ns_name_uid/web/0.log"; empty: output is only for attach
  uint64_t max_bytes = 10 << 20;  ///< rotated when it would grow beyond this; 0: never
  uint32_t max_files = 5;         ///< with the current one
};

struct PodOptions {
  std::string id;                   ///< the pod's uid
  std::string dir;                  ///< "/run/estiba/pods/<uid>"; made with mode 0700
  std::string shim = "estiba-oci";  ///< the program; searched in PATH without a slash
  std::string network_namespace;    ///< path to join; empty: the host's
  /// Path of the user namespace that the pod's containers are in; empty: the host's. The network namespace must belong to it, and the
  /// containers' configs name it.
  std::string user_namespace;
  std::string hostname;  ///< empty: the pod uses the host's uts namespace
  std::string domainname;
  bool host_ipc = false;
  bool share_pid = false;  ///< one pid namespace for all containers, with the shim's helper as its init
  bool host_pid = false;   ///< nothing to do here: leave pid out of the configs
  std::string cgroup;      ///< the pod's group, "/estiba/pod<uid>"; made, and removed on shutdown; empty: none
  std::string resources;   ///< OCI linux.resources JSON for the pod's group, or empty
  std::vector<std::pair<std::string, std::string>> sysctls;  ///< of the pod's namespaces (net.*, kernel.shm*, …)
};

/// Streams that a container has from its first instruction on, made by the caller: nothing that it says can be missed.
struct StartStreams {
  struct Attached {
    os::Fd out, err;  ///< write ends of pipes
  };
  os::Fd input;         ///< read end: the container's stdin; with a terminal it is copied into that
  os::Fd input_writer;  ///< its write end, kept for later attachments; empty: the caller has the only one
  std::vector<Attached> attached;
};

struct ContainerOptions {
  std::string id;
  std::string bundle;  ///< directory with config.json
  LogOptions log;
  bool stdin_open = false;  ///< keep a pipe as stdin for attach; otherwise /dev/null
  bool stdin_once = false;  ///< close stdin when the first attach session with stdin ends
};

enum class ContainerStatus : uint8_t { creating, created, running, paused, stopped };
std::string_view to_string(ContainerStatus status);

struct ContainerInfo {
  std::string id, bundle;
  ContainerStatus status = ContainerStatus::creating;
  int pid = 0;        ///< in the host's pid namespace
  int exit_code = 0;  ///< when stopped; 128 + signal if killed
  int signal = 0;
  bool oom_killed = false;
  WallTime created_at{}, started_at{}, finished_at{};
  std::string log_path;
};

struct PodInfo {
  std::string id;
  int shim_pid = 0;
  int pid_namespace_init = 0;  ///< with share_pid
  int protocol = 0;
  std::string network_namespace, cgroup;
  std::vector<ContainerInfo> containers;
};

struct ExecOptions {
  std::string container;
  std::vector<std::string> args;
  std::vector<std::string> env;   ///< replaces same-named ones of the container's process
  std::string cwd;                ///< empty: the container's
  std::string user;               ///< "uid[:gid[,gid…]]", the further ones supplementary; empty: the container's
  bool all_capabilities = false;  ///< instead of the container's
  bool tty = false;
  bool stdin_open = false;
  uint16_t columns = 0, rows = 0;  ///< first window size with a tty
};

/// One end of a running exec or attach session. With a tty, stdin_fd and stdout_fd are the terminal; stderr_fd is empty.
/// The descriptors are non-blocking.
struct Session {
  uint64_t id = 0;  ///< for resize(), close_stdin(), wait_exec() and kill_exec()
  int pid = 0;
  os::Fd stdin_fd, stdout_fd, stderr_fd;
};

struct ContainerStats {
  WallTime at{};
  uint64_t cpu_usage_ns = 0;
  uint64_t cpu_throttled_ns = 0;
  uint64_t memory_usage = 0, memory_working_set = 0, memory_rss = 0, memory_limit = 0;
  uint64_t page_faults = 0, major_page_faults = 0;
  uint64_t pids = 0;
  uint64_t io_read_bytes = 0, io_write_bytes = 0;
  uint64_t cpu_user_ns = 0, cpu_system_ns = 0, cpu_periods = 0, cpu_throttled_periods = 0;
  uint64_t memory_max = 0, memory_failures = 0, pids_limit = 0, oom_kills = 0;
  std::vector<uint64_t> cpu_each_ns;            ///< by CPU; version 1 only
  std::map<std::string, uint64_t> memory_stat;  ///< memory.stat as the kernel has it
  std::vector<os::CgroupIo> io;                 ///< by device
};

struct ShimEvent {
  enum class Kind : uint8_t {
    container_exit,  ///< a container's process has ended and its output is in the log
    exec_exit,       ///< an exec session's process has ended
    oom,             ///< the kernel killed for memory in the container's group
    disconnected,    ///< the connection to the shim is gone; the last event
  };
  Kind kind = Kind::container_exit;
  std::string container;
  uint64_t session = 0;  ///< exec_exit
  int exit_code = 0, signal = 0;
  bool oom_killed = false;
  WallTime at{};
};

class ShimClient {
 public:
  using EventHandler = UniqueFunction<void(const ShimEvent&)>;

  /// Starts a shim for a new pod and waits until it is ready. Code::already_exists when `dir` has a living shim.
  static Task<Result<std::unique_ptr<ShimClient>>> launch(PodOptions options);
  /// The same with the pod's first container, which runs after one exchange of messages. `waiting` is a shim of start_waiting(); if it has
  /// died meanwhile, or without one, a shim is started. The container's failure leaves the shim, with no container, in `client`.
  struct Running {
    std::unique_ptr<ShimClient> client;
    int shim_pid = 0;
    Result<ContainerInfo> container;
  };
  static Task<Result<Running>> launch(PodOptions options, ContainerOptions container, StartStreams streams, os::Fd waiting);
  /// Blocking, any thread: starts a shim that waits for its pod. The socket is all there is of it: it ends when that is closed.
  static Result<os::Fd> start_waiting(const std::string& program);
  /// Connects to the shim that serves `dir`. Code::not_found without a socket, Code::unavailable when nobody listens.
  static Task<Result<std::unique_ptr<ShimClient>>> connect(std::string dir);
  ~ShimClient();  ///< only disconnects; the shim and its containers go on
  ShimClient(const ShimClient&) = delete;

  /// Called on the loop for each event, in order. Set it right after launch or connect: events wait for it. What ended before connect()
  /// is in state().
  void on_event(EventHandler handler);
  bool closed() const;

  /// The pod with all containers, as the shim knows it now.
  Task<Result<PodInfo>> state();

  /// Makes the container to the point before its program starts. Errors of the set-up are told with their step; Code::not_found when the
  /// program is not in the image, Code::forbidden when it is not executable.
  Task<Result<ContainerInfo>> create_container(ContainerOptions options);
  /// create_container and start in one; nothing is left of a container that fails. Code::unsupported from a shim of before 2026.
  Task<Result<ContainerInfo>> run_container(ContainerOptions options, StartStreams streams);
  /// Runs the program. Returns when execve(2) has succeeded, with its error else.
  Task<Result<ContainerInfo>> start(std::string container);
  /// `all`: every process of its cgroup. Not running any more is Code::not_found.
  Task<Result<void>> kill(std::string container, int signal, bool all = false);
  /// SIGTERM (or `signal`), and SIGKILL for everything after `grace`; the shim keeps the clock. Returns once the request is
  /// taken; the end comes as an event. A later call can shorten the grace.
  Task<Result<void>> stop(std::string container, int signal, Duration grace);
  /// Removes a stopped container's cgroup and state; `force` kills it first. Missing is fine.
  Task<Result<void>> remove(std::string container, bool force = false);
  Task<Result<void>> pause(std::string container);
  Task<Result<void>> resume(std::string container);
  /// OCI linux.resources JSON.
  Task<Result<void>> update(std::string container, std::string resources);
  Task<Result<ContainerStats>> stats(std::string container);
  /// The processes of its cgroup, in the host's pid namespace.
  Task<Result<std::vector<int>>> pids(std::string container);
  /// Of the pod's cgroup.
  Task<Result<ContainerStats>> pod_stats();

  Task<Result<Session>> exec(ExecOptions options);
  /// Waits for the end of an exec session: its exit code. Code::not_found for unknown or already forgotten ones.
  Task<Result<int>> wait_exec(uint64_t session);
  Task<Result<void>> kill_exec(uint64_t session, int signal);
  /// New output from now on, and stdin if the container has one and `with_stdin`. A reader who is behind by 1 MiB loses the session; with
  /// `hold` the container waits for it instead.
  Task<Result<Session>> attach(std::string container, bool with_stdin, bool hold = false);
  Task<Result<void>> resize(uint64_t session, uint16_t columns, uint16_t rows);
  Task<Result<void>> resize_container(std::string container, uint16_t columns, uint16_t rows);
  /// Closes the container's stdin for good (stdin_once is done by the shim itself).
  Task<Result<void>> close_stdin(std::string container);
  /// Reopens the log file now (after an outside rotation).
  Task<Result<void>> reopen_log(std::string container);

  /// Kills what runs, removes cgroups and state, ends the shim. The directory is gone afterwards.
  Task<Result<void>> shutdown();

  struct Impl;

 private:
  explicit ShimClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Ends for a caller's own streams: a pipe whose read end (output) or write end (input) does not block.
Result<std::pair<os::Fd, os::Fd>> session_pipe();
Result<std::pair<os::Fd, os::Fd>> input_pipe();
Result<os::Fd> duplicate(const os::Fd& fd);

/// Blocking: removes what a dead shim left behind: kills the processes in the pod's cgroup, removes cgroups, the containers' mounts and the
/// directory. Code::conflict while the shim lives. Returns the containers as last recorded.
Result<std::vector<ContainerInfo>> cleanup_pod(const std::string& dir);
/// Blocking: what the shim recorded about its containers on disk, without asking it.
Result<std::vector<ContainerInfo>> read_pod_state(const std::string& dir);

}  // namespace estiba::runtime
