#include "server/lone_cri.h"

#include "base/log.h"
#include "cli/version.h"
#include "server/no_cluster.h"

namespace estiba::server {

Task<Result<void>> LoneCri::start() {
  if (options_.socket.empty()) co_return {};
  client_ = make_no_cluster_client();
  network::Options net;
  net.run_dir = daemon_.options().run_dir;
  net.data_dir = daemon_.options().data_dir;
  net.pod_cidr = options_.pod_cidr;
  net.service_cidr = options_.service_cidr;
  net.dns = false;
  net.policies = false;
  network_ = std::make_unique<network::Network>(net, *client_, daemon_.loop());
  CO_TRY_AS("network", co_await network_->start());
  std::vector<std::string> live;
  for (const auto& sandbox : daemon_.engine().sandboxes()) live.push_back(sandbox.uid);
  CO_TRY(co_await network_->recover(std::move(live)));
  cri::Options cri;
  cri.data_dir = net.data_dir;
  cri.run_dir = net.run_dir;
  cri.socket = options_.socket;
  cri.version = cli::program_version();
  server_ = std::make_unique<cri::Server>(std::move(cri), daemon_.loop(),
                                          cri::Parts{daemon_.loop(), daemon_.engine(), *network_, daemon_.pool()});
  co_return within("--cri-socket " + options_.socket, co_await server_->start());
}

Task<void> LoneCri::stop() {
  if (server_) co_await server_->stop();
  server_.reset();
  if (network_)
    if (auto stopped = co_await network_->stop(); !stopped) log::warn("cri", "network not stopped cleanly", {{"error", stopped.error()}});
  network_.reset();
}

}  // namespace estiba::server
