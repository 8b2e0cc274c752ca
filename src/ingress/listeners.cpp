#include "ingress/listeners.h"

#include "base/log.h"
#include "ingress/forward.h"
#include "ingress/streams.h"
#include "io/thread.h"
#include "io/tls_choice.h"

namespace estiba::ingress {

struct Listeners::Thread {
  std::unique_ptr<Forwarder> forwarder;  // lives on the thread's loop
  io::LoopThread thread;
  explicit Thread(unsigned number) : thread("ingress-" + std::to_string(number)) {}
};

struct Listeners::Open {
  uint16_t port;
  bool tls;
  std::unique_ptr<io::HttpServer> server;
};

Listeners::Listeners(ListenerOptions options) : options_(std::move(options)) {}
Listeners::~Listeners() = default;

// Of the thread that asks.
static thread_local Forwarder* forwarder_here = nullptr;

void Listeners::start_threads() {
  if (!threads_.empty()) return;
  for (unsigned i = 0; i < std::max(options_.threads, 1u); ++i) {
    Thread* thread = threads_.emplace_back(std::make_unique<Thread>(i)).get();
    thread->thread.loop().post([thread, patience = options_.patience] {
      thread->forwarder = std::make_unique<Forwarder>(patience);
      forwarder_here = thread->forwarder.get();
    });
  }
}

void Listeners::apply(ConfigPtr config) {
  config_ = std::move(config);
  if (!config_->ports.empty()) start_threads();
  for (const auto& thread : threads_)
    thread->thread.loop().post([one = thread.get(), config = config_] { one->forwarder->set_config(config); });
  for (auto it = open_.begin(); it != open_.end();) {
    const auto wanted = config_->ports.find(it->first);
    if (wanted != config_->ports.end() && wanted->second.tls == it->second->tls) {
      ++it;
      continue;
    }
    auto gone = std::move(it->second);
    it = open_.erase(it);  // before draining, which may be done at once
    ++draining_;
    closing_.start(drain(this, std::move(gone)));
  }
  open_missing();
  if (failures_.empty()) retrying_.cancel();
  else if (retrying_.done()) retrying_ = Job(retry(this));
}

void Listeners::open_missing() {
  failures_.clear();
  for (const auto& [number, port] : config_->ports) {
    if (open_.contains(number)) continue;
    std::vector<io::Loop*> loops;
    for (const auto& thread : threads_) loops.push_back(&thread->thread.loop());
    auto open = std::make_unique<Open>(number, port.tls);
    auto openings = std::make_shared<Openings>(number, nullptr, options_.proxy_protocol_from);
    if (port.tls)
      openings->handshake = io::make_tls_server([number](std::string_view name) { return forwarder_here->certificate(number, name); });
    auto opening = io::make_opening(
        [openings](int fd) { return open_connection(forwarder_here->config(), &forwarder_here->sessions(), openings, fd); });
    open->server = std::make_unique<io::HttpServer>(loops, io::HttpServerOptions{}, [number](io::Request& request, io::Response& response) {
      return forwarder_here->serve(number, request, response);
    });
    if (auto listening = open->server->listen_tcp(options_.host, number, std::move(opening)); !listening) {
      log::warn("ingress", "a port cannot be opened; trying again", {{"port", number}, {"error", listening.error()}});
      failures_[number] = listening.error().message;
      continue;
    }
    log::info("ingress", "listening", {{"port", number}, {"tls", port.tls}});
    open_[number] = std::move(open);
  }
}

Task<void> Listeners::retry(Listeners* self) {
  while (!self->failures_.empty()) {
    co_await sleep_for(self->options_.retry_interval);
    self->open_missing();
  }
}

// The last port takes the threads with it.
Task<void> Listeners::drain(Listeners* self, std::unique_ptr<Open> open) {
  co_await open->server->drain(self->options_.drain_limit);
  open.reset();
  --self->draining_;
  if (self->draining_ == 0 && self->open_.empty() && self->config_->ports.empty()) co_await end_threads(self, self->options_.drain_limit);
}

Task<void> Listeners::end_threads(Listeners* self, Duration limit) {
  const auto threads = std::exchange(self->threads_, {});  // a new configuration meanwhile starts others
  for (const auto& thread : threads) {
    (void)co_await io::run_on<int>(thread->thread.loop(), [one = thread.get(), limit] {
      return [](Thread* one, Duration limit) -> Task<int> {
        co_await with_timeout(limit, one->forwarder->sessions().join());
        one->forwarder.reset();
        co_return 0;
      }(one, limit);
    });
  }
}

Task<void> Listeners::stop(Duration limit) {
  retrying_.cancel();
  options_.drain_limit = limit;
  config_ = std::make_shared<const Config>();
  if (threads_.empty()) co_return;
  for (auto& [number, open] : open_) co_await open->server->drain(limit);
  open_.clear();
  closing_.cancel();
  co_await end_threads(this, limit);
}

}  // namespace estiba::ingress
