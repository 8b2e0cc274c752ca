// The lives of containers: creation, starts, ends, restarts by policy, health, removal, and finding everything again when the daemon
// starts.
//
// Invariants:
//  1. A container exists while its record does. The record is written (marked `creating`) before anything else is made for it, and is
//     the last thing to go.
//  2. Who starts, ends or removes a container holds its `lifecycle`; stop and kill do not, they wait for the end.
//  3. Each start has one end: status leaves running or paused in ended() alone, and every start in launch() alone.
//  4. What a client asked for is done whole, whether or not the client waits for it.
//
// Everything here belongs to the daemon's thread.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "docker/containers.h"
#include "engine/spec.h"
#include "network/bridge/types.h"

namespace estiba::docker {

class Daemon;
class Filters;

struct CreateRequest {
  std::string name;  ///< empty: one is made up
  std::string platform;
  json::Document body;
};

struct Created {
  std::string id;
  std::vector<std::string> warnings;
};

struct Pruned {
  std::vector<std::string> ids;
  uint64_t bytes = 0;
};

class Lives {
 public:
  explicit Lives(Daemon& daemon) : daemon_(daemon) {}

  /// "No such image: x" (not_found) when the image is not here: clients pull it then.
  Task<Result<Created>> create(CreateRequest request);
  /// False when it ran already.
  Task<Result<bool>> start(ContainerRef container);
  /// The stop signal, SIGKILL after `seconds` (-1: never; none: the container's own, else 10). False when it did not run.
  Task<Result<bool>> stop(ContainerRef container, std::optional<int64_t> seconds, std::string signal);
  Task<Result<void>> restart(ContainerRef container, std::optional<int64_t> seconds, std::string signal);
  /// Returns after SIGKILL when it has ended, else at once.
  Task<Result<void>> kill(ContainerRef container, std::string signal);
  Task<Result<void>> pause(ContainerRef container);
  Task<Result<void>> unpause(ContainerRef container);
  Task<Result<void>> rename(ContainerRef container, std::string name);
  Task<Result<void>> update(ContainerRef container, json::Document body);
  /// `volumes`: anonymous ones too.
  Task<Result<void>> remove(ContainerRef container, bool force, bool volumes);
  /// Those that do not run and that "until", "label" and "label!" choose.
  Task<Result<Pruned>> prune(Filters filters);

  /// Until it has ended once more since `exits`, or is removed.
  Task<void> wait_end(ContainerRef container, uint64_t exits);

  // Networks of a container, running or not. `settings` is an EndpointSettings.
  Task<Result<void>> connect(ContainerRef container, std::string network, json::Document settings);
  Task<Result<void>> disconnect(ContainerRef container, std::string network, bool force);

  /// Once, before requests are served: records are read, what runs is adopted, what is half made or half removed is finished. Restart
  /// policies then act by themselves.
  Task<Result<void>> restore();

  /// Publishes {type: container} with image, name, labels and `more` as attributes.
  void tell(const Container& container, std::string action, std::vector<std::pair<std::string, std::string>> more = {});

 private:
  // operations.cpp
  Task<Result<void>> do_pause(ContainerRef container);
  Task<Result<void>> do_unpause(ContainerRef container);
  Task<Result<void>> do_rename(ContainerRef container, std::string name);
  Task<Result<void>> do_update(ContainerRef container, json::Document body);
  Task<Result<void>> do_connect(ContainerRef container, std::string network, json::Document settings);
  Task<Result<void>> do_disconnect(ContainerRef container, std::string network, bool force);

  // create.cpp
  Task<Result<Created>> do_create(CreateRequest request);
  Task<Result<void>> furnish(ContainerRef container);
  Task<Result<void>> make_volumes(ContainerRef container);
  Task<Result<void>> fill_volumes(ContainerRef container);
  void check_later_problems(const Container& container, std::vector<std::string>& warnings);

  // start.cpp
  Task<Result<bool>> do_start(ContainerRef container);
  /// With the lifecycle held.
  Task<Result<void>> launch(ContainerRef container);
  Task<Result<void>> run(ContainerRef container);
  Task<Result<std::vector<std::string>>> mount_all(ContainerRef container);
  Task<Result<std::string>> join_network(ContainerRef container);
  Task<Result<void>> write_files(ContainerRef container);
  Task<Result<std::vector<int64_t>>> groups_of(ContainerRef container);
  Result<std::pair<int, std::string>> running_pid(std::string_view name) const;
  /// Gives back what run() took: network and mounts.
  Task<void> let_go(ContainerRef container);
  void tell_network(const Container& container, const network::bridge::EndpointInfo& endpoint, std::string action);

  // ends.cpp
  friend class Daemon;
  void on_engine_event(const engine::Event& event);
  Task<void> ended(ContainerRef container);
  Task<void> settle_end(ContainerRef container);
  bool wants_restart(const Container& container) const;
  /// It has ended and goes for good: `--rm`.
  bool removed_at_end(const Container& container) const;
  /// It has ended, and restore() would remove it if this process stopped now: nothing more need be noted of it.
  bool restore_removes(const Container& container) const;
  Task<void> restart_later(ContainerRef container, uint64_t generation);
  Task<Result<bool>> do_stop(ContainerRef container, std::optional<int64_t> seconds, std::string signal);
  Task<Result<void>> do_restart(ContainerRef container, std::optional<int64_t> seconds, std::string signal);
  Task<Result<void>> send_signal(ContainerRef container, int signal);

  // remove.cpp
  Task<Result<void>> do_remove(ContainerRef container, bool force, bool volumes);
  /// With the lifecycle held, of one that does not run.
  Task<Result<void>> clear(ContainerRef container, bool volumes);

  // health.cpp
  void watch_health(const ContainerRef& container);
  Task<void> run_health(ContainerRef container, uint64_t generation);
  void note_health(Container& container, HealthProbe probe, bool in_start_period, int64_t retries);

  // restore.cpp
  Task<Result<void>> adopt(ContainerRef container);
  Task<Result<void>> clear_strangers();

  Daemon& daemon_;
};

}  // namespace estiba::docker
