#include "docker/daemon.h"

#include "base/log.h"
#include "base/strings.h"
#include "build/solve/builder.h"
#include "docker/api/routes.h"
#include "docker/build_networks.h"
#include "docker/containers.h"
#include "docker/events.h"
#include "docker/execs.h"
#include "docker/listing.h"
#include "docker/lives.h"
#include "engine/engine.h"
#include "image/store.h"
#include "io/http_server.h"
#include "io/loop.h"
#include "io/pool.h"
#include "network/bridge/networks.h"
#include "os/file.h"
#include "volume/volumes.h"

namespace estiba::docker {

Daemon::Daemon(DaemonOptions options, io::Loop& loop, engine::Engine* engine)
    : options_(std::move(options)), loop_(loop), started_at_(loop.wall_now()), engine_(engine) {}
Daemon::~Daemon() = default;

Result<void> Daemon::open() {
  TRY(os::make_dirs(options_.data_dir, 0711));
  TRY(os::make_dirs(options_.run_dir, 0711));
  TRY(os::make_dirs(options_.data_dir + "/docker/containers", 0700));
  TRY(os::make_dirs(options_.run_dir + "/docker/containers", 0700));
  const std::string id_file = options_.data_dir + "/docker/id";
  if (auto text = os::read_file(id_file)) id_ = trim(*text);
  if (id_.empty()) {
    id_ = random_uuid();
    TRY(os::write_file_atomic(id_file, id_ + "\n"));
  }
  images_ = TRY(image::Store::open(options_.data_dir));
  pool_ = std::make_unique<io::Pool>(8);
  if (!engine_) {
    own_engine_ = TRY(engine::make_engine({.data_dir = options_.data_dir,
                                           .run_dir = options_.run_dir,
                                           .oci_program = options_.oci_program,
                                           .cdi_spec_dirs = options_.cdi_spec_dirs},
                                          loop_, *pool_));
    engine_ = own_engine_.get();
  }
  events_ = std::make_unique<Events>(loop_);
  containers_ = std::make_unique<Containers>(options_.data_dir, options_.run_dir, *pool_);
  lives_ = std::make_unique<Lives>(*this);
  listing_ = std::make_unique<Listing>(*this);
  execs_ = std::make_unique<Execs>(*this);
  networks_ = std::make_unique<network::bridge::Networks>(
      network::bridge::Options{.data_dir = options_.data_dir, .run_dir = options_.run_dir, .avoid = options_.avoid_subnets}, loop_);
  volumes_ = std::make_unique<volume::Volumes>(options_.data_dir);
  engine_->on_event([this, listening = listening_](const engine::Event& event) {
    if (*listening) lives_->on_engine_event(event);
  });
  build_networks_ = std::make_unique<DockerBuildNetworks>(*this);
  builder_ = std::make_unique<build::Builder>(build::Builder::Options{options_.data_dir, options_.run_dir}, *engine_, images_, *pool_,
                                              *build_networks_);
  router_ = std::make_unique<Router>(make_router());
  return {};
}

Result<void> Daemon::listen() {
  io::HttpServerOptions http;
  http.max_body_bytes = 64 << 20;
  server_ = std::make_unique<io::HttpServer>(std::vector<io::Loop*>{&loop_}, http, [this](io::Request& request, io::Response& response) {
    return router_->serve(*this, request, response);
  });
  TRY(server_->listen_unix(options_.socket_path(), 0660));
  if (options_.listen_tcp.empty()) return {};
  std::string_view address = options_.listen_tcp;
  if (address.starts_with("tcp://")) address.remove_prefix(6);
  const size_t colon = address.rfind(':');
  auto port = colon == address.npos ? std::nullopt : parse_number<uint16_t>(address.substr(colon + 1));
  if (!port) return fail(Code::invalid, "--listen-tcp " + quoted(options_.listen_tcp) + ": ADDRESS:PORT is expected, as 127.0.0.1:2375");
  std::string host(address.substr(0, colon));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  log::warn("docker", "the API is open to all who reach this address, which is as good as root", {{"address", options_.listen_tcp}});
  return server_->listen_tcp(host, *port, nullptr);
}

Task<Result<void>> Daemon::start() {
  CO_TRY(open());
  CO_TRY_AS("volumes", co_await volumes_->start());
  CO_TRY_AS("networks", co_await networks_->start());
  CO_TRY_AS("engine", co_await engine_->recover());
  CO_TRY_AS("builder", co_await builder_->recover());
  CO_TRY_AS("containers", co_await lives_->restore());
  co_return listen();
}

Task<void> Daemon::stop() {
  if (server_) co_await server_->drain(std::chrono::milliseconds(500));
  server_.reset();
  *listening_ = false;
  // Starts and removals under way are finished; a restart would finish or undo them too, but later.
  if (containers_)
    for (const ContainerRef& container : containers_->all())
      if (container->lifecycle.locked())
        (void)co_await with_timeout(std::chrono::seconds(5),
                                    [](ContainerRef c) -> Task<void> { auto held = co_await c->lifecycle.lock(); }(container));
  tasks_.cancel();
  if (builder_) co_await builder_->settle();
  builder_.reset();
  if (containers_) co_await containers_->settle();
  if (networks_)
    if (auto stopped = co_await networks_->stop(); !stopped)
      log::warn("docker", "networks not stopped cleanly", {{"error", stopped.error()}});
  execs_.reset();
  lives_.reset();
  networks_.reset();
  own_engine_.reset();
}

}  // namespace estiba::docker
