#include "network/dns/feed.h"

#include "base/log.h"

namespace estiba::network::dns {

using std::chrono::milliseconds;
using std::chrono::seconds;

Feed::Feed(Server::Config config, ServiceObjects& objects) : objects_(objects), server_(std::move(config)) {
  objects_.on_change([this](const std::string& key) {
    const auto* service = objects_.service(key);
    server_.set(key, service ? std::make_shared<const ServiceNames>(names_of(*service, objects_.slices(key))) : nullptr);
  });
  job_ = Job(run());
}

Task<void> Feed::run() {
  co_await objects_.wait_synced();
  // The port may be held for a moment by a server that is just ending.
  for (Duration delay = milliseconds(50);; delay = std::min<Duration>(delay * 2, seconds(10))) {
    auto started = co_await server_.start();
    if (started) break;
    log::warn("network", "the cluster's DNS does not answer yet", {{"error", started.error()}});
    co_await sleep_for(delay);
  }
  ready_ = true;
  log::debug("network", "the cluster's DNS answers");
}

}  // namespace estiba::network::dns
