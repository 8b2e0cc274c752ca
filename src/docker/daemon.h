// The Docker daemon: the engine, the images, networks and volumes it works with, what it knows of containers, and the sockets on which
// it answers. All of it lives on one loop's thread; what blocks runs on its pool.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"

namespace estiba::io {
class HttpServer;
class Loop;
class Pool;
}  // namespace estiba::io
namespace estiba::build {
class Builder;
class BuildNetworks;
}  // namespace estiba::build
namespace estiba::engine {
class Engine;
}
namespace estiba::image {
class Store;
}
namespace estiba::network::bridge {
class Networks;
}
namespace estiba::volume {
class Volumes;
}

namespace estiba::docker {

class Containers;
class Events;
class Execs;
class Listing;
class Lives;
class Router;

struct DaemonOptions {
  std::string data_dir = "/var/lib/estiba";
  std::string run_dir = "/run/estiba";
  std::string docker_socket;  ///< empty: <run-dir>/docker.sock
  std::string listen_tcp;     ///< "127.0.0.1:2375", without any protection; empty: none
  std::string oci_program;    ///< of estiba-oci; empty: beside the running program
  /// Prefixes that no network is given by choice, such as a cluster's.
  std::vector<std::string> avoid_subnets;
  std::vector<std::string> registry_mirrors;                           ///< "https://mirror.example": asked first for what Docker Hub has
  std::vector<std::string> cdi_spec_dirs{"/etc/cdi", "/var/run/cdi"};  ///< engine::Options of an engine of its own, and what it tells
  std::vector<std::string> insecure_registries;  ///< "host:port", "10.0.0.0/8": HTTPS without verification, or plain HTTP
  std::string socket_path() const { return docker_socket.empty() ? run_dir + "/docker.sock" : docker_socket; }
};

class Daemon {
 public:
  /// `engine` is one that somebody else owns, on the same data and run directory, and that outlives the daemon; null: one of its own.
  Daemon(DaemonOptions options, io::Loop& loop, engine::Engine* engine = nullptr);
  /// On the loop, after stop().
  ~Daemon();
  Daemon(const Daemon&) = delete;

  /// Opens the store, finds again what runs, lets restart policies act, and listens. On the loop.
  Task<Result<void>> start();
  /// Stops listening and lets go; containers go on.
  Task<void> stop();

  const DaemonOptions& options() const { return options_; }
  io::Loop& loop() { return loop_; }
  io::Pool& pool() { return *pool_; }
  engine::Engine& engine() { return *engine_; }
  build::Builder& builder() { return *builder_; }
  const std::shared_ptr<image::Store>& images() { return images_; }
  Events& events() { return *events_; }
  Containers& containers() { return *containers_; }
  Lives& lives() { return *lives_; }
  Execs& execs() { return *execs_; }
  Listing& listing() { return *listing_; }
  network::bridge::Networks& networks() { return *networks_; }
  volume::Volumes& volumes() { return *volumes_; }
  /// Work that goes on by itself and ends with the daemon at the latest.
  TaskGroup& tasks() { return tasks_; }
  WallTime started_at() const { return started_at_; }
  /// A UUID of this data directory, made once.
  const std::string& id() const { return id_; }

 private:
  Result<void> open();
  Result<void> listen();

  DaemonOptions options_;
  io::Loop& loop_;
  WallTime started_at_{};
  std::string id_;
  std::unique_ptr<io::Pool> pool_;
  std::shared_ptr<image::Store> images_;
  std::unique_ptr<engine::Engine> own_engine_;
  engine::Engine* engine_ = nullptr;
  std::shared_ptr<bool> listening_ = std::make_shared<bool>(true);  // false: engine events are none of our business any more
  std::unique_ptr<Events> events_;
  std::unique_ptr<network::bridge::Networks> networks_;
  std::unique_ptr<volume::Volumes> volumes_;
  std::unique_ptr<Containers> containers_;
  std::unique_ptr<Lives> lives_;
  std::unique_ptr<Listing> listing_;
  std::unique_ptr<Execs> execs_;
  std::unique_ptr<Router> router_;
  std::unique_ptr<build::BuildNetworks> build_networks_;
  std::unique_ptr<build::Builder> builder_;
  std::unique_ptr<io::HttpServer> server_;
  TaskGroup tasks_;  // last: its tasks use the rest
};

}  // namespace estiba::docker
