#include "store/etcd/etcd.h"

#include <deque>
#include <future>
#include <list>

#include "base/log.h"
#include "base/strings.h"
#include "io/thread.h"
#include "observe/metrics.h"
#include "store/etcd/compactor.h"
#include "store/etcd/replica.h"
#include "store/etcd/writer.h"
#include "store/memory/reads.h"

namespace estiba::store {

namespace {

using namespace etcd;
using namespace std::chrono_literals;

constexpr Duration probe_interval = 15s;

/// What lives on the store's thread.
class Core {
 public:
  Core(std::unique_ptr<EtcdClient> client, const EtcdOptions& options)
      : options_(options),
        client_(std::move(client)),
        replica_(*client_, {options.prefix, options.history, options.reconnect_delay}),
        writer_(*client_, replica_, options.prefix),
        compactor_(*client_, options.prefix, options.compaction_interval) {}

  Task<Result<void>> start() {
    client_->set_patience(options_.start_patience);
    CO_TRY(co_await replica_.load());
    client_->set_patience(options_.patience);
    jobs_.start(replica_.follow());
    jobs_.start(probe(this));
    if (options_.compaction_interval > Duration(0)) jobs_.start(compactor_.run());
    co_return {};
  }

  Writer& writer() { return writer_; }
  Replica& replica() { return replica_; }

  void refresh(OneShot<Result<void>>::Sender sender) {
    asking_.push_back(std::move(sender));
    if (!std::exchange(querying_, true)) jobs_.start(query(this));
  }
  void compact(Revision revision) {
    replica_.forget_compacted();
    jobs_.start(compactor_.compact(revision));
  }
  Task<void> stop() {
    co_await writer_.drain(5s);
    jobs_.cancel();
  }

 private:
  using Senders = std::vector<OneShot<Result<void>>::Sender>;

  // One question to etcd for all who asked before it was sent.
  static Task<void> query(Core* self) {
    const std::string request = encode(RangeRequest{.key = self->options_.prefix + std::string(revision_key), .keys_only = true});
    while (!self->asking_.empty()) {
      const Revision before = self->replica_.revision();
      auto senders = std::make_shared<Senders>(std::exchange(self->asking_, {}));
      auto bytes = co_await self->client_->range(request);
      auto answer = bytes ? decode_range(*bytes) : Result<RangeAnswer>(std::unexpected(bytes.error()));
      if (answer && answer->revision < before) answer = went_back(answer->revision, before);
      if (!answer) {
        for (auto& sender : *senders) sender.send(std::unexpected(answer.error()));
        continue;
      }
      if (self->replica_.revision() >= answer->revision) {
        for (auto& sender : *senders) sender.send({});
      } else {
        self->jobs_.start(settle(self, answer->revision, std::move(senders)));
      }
    }
    self->querying_ = false;
  }

  static Task<void> settle(Core* self, Revision revision, std::shared_ptr<Senders> senders) {
    auto reached = co_await self->replica_.catch_up(revision);
    for (auto& sender : *senders) sender.send(reached);
  }

  // Finds a watch that has died in silence also while nobody reads.
  static Task<void> probe(Core* self) {
    for (;;) {
      co_await sleep_for(probe_interval);
      OneShot<Result<void>> answer;
      self->refresh(answer.sender());
      auto result = co_await answer;
      if (result && !*result) log::warn("store", "etcd does not answer", {{"error", result->error()}});
    }
  }

  EtcdOptions options_;
  std::unique_ptr<EtcdClient> client_;
  Replica replica_;
  Writer writer_;
  Compactor compactor_;
  Senders asking_;
  bool querying_ = false;
  TaskGroup jobs_;  // last: ends first
};

class Etcd final : public EtcdStore {
 public:
  explicit Etcd(EtcdOptions options) : options_(std::move(options)), thread_("store") {}

  ~Etcd() override {
    if (!core_) return;
    std::promise<void> ended;
    thread_.loop().post([&] { spawn(end(this, &ended)); });
    ended.get_future().wait();
  }

  Result<void> start() {
    auto client = TRY(etcd::make_client(options_));
    core_ = std::make_unique<Core>(std::move(client), options_);
    std::promise<Result<void>> started;
    thread_.loop().post([&] { spawn(begin(this, &started)); });
    TRY(started.get_future().get());
    memory_ = core_->replica().memory();
    return {};
  }

  Revision revision() const override { return memory_->newest.load()->revision; }
  Revision oldest() const override { return memory_->floor(*memory_->newest.load()); }

  Result<EntryPtr> get(std::string_view key, Revision at) override { return read_key(*memory_, key, at); }
  Result<ListResult> list(std::string_view prefix, const ListOptions& options) override { return read_range(*memory_, prefix, options); }
  uint64_t count(std::string_view prefix) override { return memory_->newest.load()->tree.count(KeyRange::of_prefix(prefix)); }
  Result<std::unique_ptr<Watch>> watch(std::string_view prefix, Revision after) override { return begin_watch(memory_, prefix, after); }

  Result<void> compact(Revision revision) override {
    TRY(note_compaction(*memory_, revision));
    thread_.loop().post([this, revision] { core_->compact(revision); });
    return {};
  }

  void write(Write write, UniqueFunction<void(Result<WriteResult>)> done) override {
    if (auto good = check_key(write.key); !good) return done(std::unexpected(std::move(good.error())));
    for (const Write& other : write.with) {
      if (auto good = check_key(other.key); !good) return done(std::unexpected(std::move(good.error())));
    }
    thread_.loop().post(
        [this, write = std::move(write), done = std::move(done)]() mutable { core_->writer().write(std::move(write), std::move(done)); });
  }

  Task<Result<void>> refresh() override {
    OneShot<Result<void>> answer;
    thread_.loop().post([this, sender = answer.sender()]() mutable { core_->refresh(std::move(sender)); });
    auto result = co_await answer;
    if (!result) co_return fail(Code::unavailable, "the store was closed");
    co_return std::move(*result);
  }

 private:
  static Result<void> check_key(const std::string& key) {
    if (key.starts_with('/') && !key.starts_with(own_keys)) return {};
    return fail(Code::invalid, "write: the key " + quoted(key) + " must begin with '/', and not with " + std::string(own_keys));
  }
  static Task<void> begin(Etcd* self, std::promise<Result<void>>* out) {
    auto started = co_await self->core_->start();
    if (!started) self->core_.reset();
    out->set_value(std::move(started));
  }
  static Task<void> end(Etcd* self, std::promise<void>* out) {
    co_await self->core_->stop();
    self->core_.reset();
    out->set_value();
  }

  EtcdOptions options_;
  std::shared_ptr<Memory> memory_;
  std::unique_ptr<Core> core_;  // on the thread's loop
  io::LoopThread thread_;       // last: joined first
};

}  // namespace

Result<void> check(const EtcdOptions& options) {
  if (options.endpoints.empty()) return fail(Code::invalid, "etcd needs at least one endpoint");
  if (!options.prefix.starts_with('/') || options.prefix.ends_with('/'))
    return fail(Code::invalid, "--etcd-prefix must begin with '/' and not end with it, like /estiba, not " + quoted(options.prefix));
  if (options.certificate_pem.empty() != options.key_pem.empty())
    return fail(Code::invalid, "--etcd-certfile and --etcd-keyfile belong together: give both or none");
  return {};
}

Result<std::unique_ptr<EtcdClient>> etcd::make_client(const EtcdOptions& options) {
  io::TlsContextRef tls;
  for (const std::string& endpoint : options.endpoints) {
    if (tls || !endpoint.starts_with("https:")) continue;
    tls = TRY_AS("etcd",
                 io::make_tls_client(
                     {.ca_pem = options.ca_pem, .certificate_pem = options.certificate_pem, .key_pem = options.key_pem, .alpn = {"h2"}}));
  }
  return EtcdClient::make({.endpoints = options.endpoints, .tls = std::move(tls), .patience = options.patience});
}

Result<std::unique_ptr<EtcdStore>> open_etcd(EtcdOptions options) {
  TRY(check(options));
  auto store = std::make_unique<Etcd>(std::move(options));
  TRY_AS("open etcd", store->start());
  return store;
}

}  // namespace estiba::store
