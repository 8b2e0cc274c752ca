// The daemon's containers: records, names and their look-up, and how they are kept on disk. What happens to them is in lives.h.
//
//   <data-dir>/docker/containers/<id>.json   one container, replaced as a whole and synced; the container exists while it does
//   <data-dir>/docker/containers/<id>/       files mounted into it (hosts, hostname, resolv.conf) and its log
//   <data-dir>/containers/<id>/              its writable layer, the engine's
//
// Everything here belongs to the daemon's thread.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "base/task.h"
#include "docker/mutex.h"
#include "model/json.h"

namespace estiba::io {
class Pool;
}

namespace estiba::docker {

enum class Status : unsigned char { created, running, paused, restarting, removing, exited, dead };
std::string_view to_string(Status status);

/// What a container's life depends on, read once out of Config and HostConfig.
struct Facts {
  std::map<std::string, std::string> labels;
  std::vector<std::string> command;  ///< entrypoint and arguments, as they will be run
  bool tty = false, open_stdin = false, stdin_once = false;
  bool auto_remove = false, privileged = false;
  std::string stop_signal;              ///< "SIGTERM"
  std::optional<int64_t> stop_timeout;  ///< seconds; none: 10
  std::string restart_policy;           ///< no, always, unless-stopped, on-failure, on-unhealthy
  int64_t max_retries = 0;              ///< of on-failure; 0: without end
  std::string network_mode;             ///< bridge, host, none, container:<id>, a network's name
  std::string log_type;                 ///< json-file, local, none
};

/// One entry of Mounts in inspect.
struct MountPoint {
  std::string type;  ///< bind, volume, tmpfs
  std::string name;  ///< of a volume
  std::string source, destination, driver, mode, propagation;
  bool writable = true;
  bool copy_up = false;    ///< a volume that takes what the image has there, when it is empty
  std::string subpath;     ///< of a volume
  bool anonymous = false;  ///< made for this container: goes with `rm -v` and --rm
  bool recursive_readonly = false;
  bool make_source = false;  ///< of a bind given with -v: a directory is made where there is nothing
};

struct HealthProbe {
  WallTime start{}, end{};
  int64_t exit_code = 0;
  std::string output;
};

struct Health {
  std::string status = "starting";  ///< starting, healthy, unhealthy
  int64_t failing_streak = 0;
  std::vector<HealthProbe> log;  ///< the last five
};

struct Container {
  std::string id;    ///< 64 hex digits
  std::string name;  ///< without the slash
  WallTime created{};
  std::string image;                   ///< as it was asked for: "nginx:1.29"
  std::string image_id;                ///< "sha256:…"
  json::Document config, host_config;  ///< whole: every field that Docker prints, the image's configuration merged in
  json::Document endpoints;            ///< NetworkingConfig.EndpointsConfig, by network, as asked for at creation or by connect
  std::vector<MountPoint> mounts;
  Facts facts;

  Status status = Status::created;
  int pid = 0;
  int exit_code = 0;
  bool oom_killed = false;
  std::string error;  ///< why the last start failed
  WallTime started{}, finished{};
  int64_t restart_count = 0;
  bool manually_stopped = false;  ///< by stop or kill: unless-stopped does not start it again
  std::optional<Health> health;
  std::vector<std::string> exec_ids;  ///< of exec instances that have not been forgotten

  bool creating = false;  ///< its creation is under way; a restart undoes it

  // Not on disk.
  Event changed;                   ///< set at each change of status, removal included: reset() and wait() for the next
  uint64_t exits = 0;              ///< how often it has ended
  uint64_t generation = 0;         ///< how often it has been started: what watches one run compares it
  bool removed = false;            ///< it is in the table no more
  bool joined = false;             ///< another container has come into a namespace of it
  bool keep_once = false;          ///< a restart is under way: --rm waits
  bool stop_restarts = false;      ///< by stop or kill since the last start: no policy starts it again
  Mutex writing;                   ///< held by who writes or deletes its record
  Mutex lifecycle;                 ///< held by who starts, ends or removes it
  Event restart_cut;               ///< ends the wait before a restart
  Duration restart_delay{};        ///< of the next restart by policy
  uint64_t revision = 0;           ///< grows with each change; caches of printed JSON compare it
  uint64_t saved = 0, saving = 0;  ///< see Containers::save_soon
  bool start_noted = false;        ///< the record on disk knows of a start

  bool running() const { return status == Status::running || status == Status::paused; }
};
using ContainerRef = std::shared_ptr<Container>;

class Containers {
 public:
  Containers(std::string data_dir, std::string run_dir, io::Pool& pool)
      : data_dir_(std::move(data_dir)), run_dir_(std::move(run_dir)), pool_(pool) {}

  /// By id, name (with or without slash), or a prefix of one id only. "No such container: x" (not_found); "multiple IDs found with
  /// provided prefix: x" (invalid).
  Result<ContainerRef> find(std::string_view name) const;
  /// Newest first.
  std::vector<ContainerRef> all() const;
  size_t size() const { return by_id_.size(); }

  /// Takes the name for an id until release_name() or insert(); conflict, with dockerd's sentence, when it is in use.
  Result<void> reserve_name(const std::string& name, const std::string& id);
  void release_name(const std::string& name, const std::string& id);
  /// "angry_turing", one that is free.
  std::string made_up_name() const;

  void insert(ContainerRef container);
  void erase(const ContainerRef& container);
  /// Changes name and look-up; the record is not written.
  Result<void> rename(const ContainerRef& container, const std::string& name);
  /// Note a change: wakes who waits for it and makes printed JSON old.
  void touch(Container& container);
  /// Grows with each change of any container.
  uint64_t revision() const { return revision_; }
  /// Until no record is being written.
  Task<void> settle();

  /// Writes the record, whole: what kill -9 leaves is one or the other. It is on disk for good (synced) soon after.
  Task<Result<void>> save(ContainerRef container);
  /// Writes the record durably by itself; changes that come meanwhile make for one more write.
  void save_soon(ContainerRef container);
  /// The same without the second, durable write.
  Task<Result<void>> note(ContainerRef container);
  /// Deletes the record and the files. `removed` is set, so that nothing writes them again. Not synced: were the record to come back after
  /// a power failure, it would say `removing`, and the removal be done again.
  Task<Result<void>> forget(ContainerRef container);
  /// Reads all records; what cannot be read is logged and left alone.
  Result<std::vector<ContainerRef>> load() const;

  /// Record, files and log of most containers are in <data-dir>/docker/containers. One of `--rm` without volumes is nothing after a reboot
  /// but a root to be deleted: what is written for it stays in <run-dir>/docker/containers, in memory, and its log is beside its root.
  static bool passing(const Container& container);
  /// Runs what touches a container's record or files: on the pool, or here and now where they are in memory and nothing blocks.
  Task<Result<void>> blocking(bool passing, std::function<Result<void>()> work);
  std::string record_path(const Container& container) const;
  std::string files_dir(const Container& container) const;
  std::string log_dir(const Container& container) const;
  std::string log_path(const Container& container) const { return log_dir(container) + "/" + container.id + "-json.log"; }
  /// Of the container that `--network container:…` names; of `container` when that one is gone, or none is named.
  std::string files_dir_of(std::string_view other, const Container& container) const;
  /// Whether a record is on disk, readable or not.
  bool has_record(std::string_view id) const;
  std::string dir() const { return data_dir_ + "/docker/containers"; }
  std::string passing_dir() const { return run_dir_ + "/docker/containers"; }

 private:
  const std::string data_dir_, run_dir_;
  Task<Result<void>> write(ContainerRef container, bool durable);

  io::Pool& pool_;
  std::map<std::string, ContainerRef, std::less<>> by_id_;
  std::map<std::string, std::string, std::less<>> names_;  // name → id
  uint64_t revision_ = 1;
  TaskGroup writers_;  // last: its tasks use the rest
};

/// Reads Facts out of the two documents of a container.
Facts facts_of(const json::Node& config, const json::Node& host_config);
/// [a-zA-Z0-9][a-zA-Z0-9_.-]+, with dockerd's sentence otherwise.
Result<void> check_name(std::string_view name);

std::string print_record(const Container& container);
Result<ContainerRef> parse_record(std::string_view text);

}  // namespace estiba::docker
