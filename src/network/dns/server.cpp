#include "network/dns/server.h"

#include <semaphore>

#include "base/log.h"
#include "io/loop.h"
#include "io/thread.h"
#include "network/dns/forwarder.h"
#include "network/dns/responder.h"
#include "network/dns/socket.h"

namespace estiba::network::dns {

namespace {
// What lives on the DNS thread.
struct Answering {
  Answering(io::Loop& loop, const Server::Config& config) : zone(config.zone), forwarder(config.resolv_conf, config.addresses) {
    for (size_t i = 0; i < config.addresses.size(); ++i)
      responders.push_back(std::make_unique<Responder>(
          loop, [this](const Name& name, uint16_t type) { return zone.answer(name, type); }, forwarder, &answers));
  }

  // All or none: one that has begun may be asked only when the others are there too, since start() comes again.
  Result<void> start(const std::vector<Address>& addresses, uint16_t port) {
    std::vector<std::pair<Fd, Fd>> sockets;
    for (const Address& address : addresses) {
      Fd udp = TRY(bind_to(address, port, false));
      sockets.push_back({std::move(udp), TRY(bind_to(address, port, true))});
    }
    for (size_t i = 0; i < sockets.size(); ++i) TRY(responders[i]->start(std::move(sockets[i].first), std::move(sockets[i].second)));
    return {};
  }

  void set(const std::string& key, std::shared_ptr<const ServiceNames> names) {
    zone.set(key, std::move(names));
    answers.forget();
  }

  Zone zone;
  Answers answers;
  Forwarder forwarder;
  std::vector<std::unique_ptr<Responder>> responders;  // one for each address
};
}  // namespace

struct Server::Impl {
  Config config;
  io::LoopThread thread{"estiba-dns"};
  std::unique_ptr<Answering> answering;  // the thread's; made and ended there

  explicit Impl(Config c) : config(std::move(c)) {
    thread.loop().post([this] { answering = std::make_unique<Answering>(thread.loop(), config); });
  }
  ~Impl() {
    std::binary_semaphore ended(0);
    thread.loop().post([this, &ended] {
      answering.reset();
      ended.release();
    });
    ended.acquire();
  }
  Task<Result<void>> start() { co_return answering->start(config.addresses, config.port); }
};

Server::Server(Config config) : impl_(std::make_unique<Impl>(std::move(config))) {}
Server::~Server() = default;

Task<Result<void>> Server::start() {
  auto started = co_await io::run_on<Result<void>>(impl_->thread.loop(), [impl = impl_.get()] { return impl->start(); });
  co_return within("the cluster's DNS", started ? std::move(*started) : fail(Code::cancelled, "stopped"));
}

void Server::set(std::string key, std::shared_ptr<const ServiceNames> names) {
  impl_->thread.loop().post(
      [impl = impl_.get(), key = std::move(key), names = std::move(names)]() mutable { impl->answering->set(key, std::move(names)); });
}

}  // namespace estiba::network::dns
