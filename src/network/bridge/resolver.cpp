#include "network/bridge/resolver.h"

#include <semaphore>

#include "base/log.h"
#include "io/thread.h"
#include "network/dns/responder.h"

namespace estiba::network::bridge {

namespace {

struct Container {
  Asker asker;
  std::unique_ptr<dns::Forwarder> own;        // with servers of its own
  std::unique_ptr<dns::Responder> responder;  // last: ends first
};

// What lives on the thread.
struct Answering {
  Answering(io::Loop& loop, std::string resolv_conf)
      : loop(loop), host(std::move(resolv_conf), std::vector{*Address::parse("127.0.0.11")}) {}

  void serve(const std::string& id, NameSockets sockets) {
    Container& container = containers[id];
    container.responder.reset();
    dns::Forwarder& forwarder = container.own ? *container.own : host;
    container.responder = std::make_unique<dns::Responder>(
        loop, [this, &container](const dns::Name& name, uint16_t type) { return answer(directory, container.asker, name, type); },
        forwarder);
    auto started = container.responder->start(std::move(sockets.udp), std::move(sockets.tcp));
    if (!started) log::error("network", "a container's names are not answered", {{"container", id}, {"error", started.error()}});
  }

  void set(const std::string& id, Asker asker) {
    Container& container = containers[id];
    // Its servers are settled before it is served, and stay.
    if (!container.responder && !asker.servers.empty()) {
      std::vector<dns::Forwarder::Upstream> servers;
      for (const Address& address : asker.servers) servers.push_back({address});
      container.own = std::make_unique<dns::Forwarder>(std::move(servers));
    }
    container.asker = std::move(asker);
  }

  io::Loop& loop;
  dns::Forwarder host;
  Directory directory;
  std::map<std::string, Container> containers;  // a map's values do not move
};

}  // namespace

struct Resolver::Impl {
  io::LoopThread thread{"estiba-names"};
  std::unique_ptr<Answering> answering;  // the thread's; made and ended there

  explicit Impl(std::string resolv_conf) {
    post([this, resolv_conf = std::move(resolv_conf)] { answering = std::make_unique<Answering>(thread.loop(), resolv_conf); });
  }
  ~Impl() {
    std::binary_semaphore ended(0);
    post([this, &ended] {
      answering.reset();
      ended.release();
    });
    ended.acquire();
  }
  template <class F>
  void post(F work) {
    thread.loop().post(std::move(work));
  }
};

Resolver::Resolver(std::string resolv_conf) : impl_(std::make_unique<Impl>(std::move(resolv_conf))) {}
Resolver::~Resolver() = default;

void Resolver::serve(std::string container_id, NameSockets sockets) {
  impl_->post([impl = impl_.get(), id = std::move(container_id), sockets = std::move(sockets)]() mutable {
    impl->answering->serve(id, std::move(sockets));
  });
}
void Resolver::set_container(std::string container_id, Asker asker) {
  impl_->post([impl = impl_.get(), id = std::move(container_id), asker = std::move(asker)]() mutable {
    impl->answering->set(id, std::move(asker));
  });
}
void Resolver::forget(std::string container_id) {
  impl_->post([impl = impl_.get(), id = std::move(container_id)] { impl->answering->containers.erase(id); });
}
void Resolver::set_network(std::string network_id, std::shared_ptr<const NetworkNames> names) {
  impl_->post([impl = impl_.get(), id = std::move(network_id), names = std::move(names)]() mutable {
    if (names) impl->answering->directory[id] = std::move(names);
    else impl->answering->directory.erase(id);
  });
}

}  // namespace estiba::network::bridge
