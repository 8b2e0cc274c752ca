#include "store/etcd/client.h"

#include "base/executor.h"
#include "base/log.h"
#include "base/strings.h"

namespace estiba::store::etcd {

using io::GrpcCode;
using io::GrpcStatus;

namespace {

constexpr Duration first_pause = std::chrono::milliseconds(50), longest_pause = std::chrono::milliseconds(500);
constexpr Duration least_attempt = std::chrono::seconds(1);  // also shortly before the end of the patience

// The member must know a leader, else it says so at once ("no leader") and the next one is asked.
io::Headers metadata() { return {{"hasleader", "true"}}; }

bool says(const GrpcStatus& status, std::string_view text) { return status.message.find(text) != std::string::npos; }

struct Explanation {
  std::string_view text;  ///< what etcd's message contains (its api/v3rpc/rpctypes/error.go)
  Code code;
  std::string_view advice;
};
constexpr Explanation explanations[] = {
    {"database space exceeded", Code::exhausted,
     "etcd has no room left (alarm NOSPACE): compact and defragment it or raise --quota-backend-bytes, then `etcdctl alarm disarm`"},
    {"request is too large", Code::too_large, "etcd takes no request of that size: see its --max-request-bytes (1.5 MiB by default)"},
    {"received message larger than max", Code::too_large,
     "etcd takes no request of that size: see its --max-request-bytes (1.5 MiB by default)"},
    {"revision has been compacted", Code::gone, "the revision has been compacted"},
    {"permission denied", Code::unavailable,
     "etcd's user of this client certificate needs a role that may read and write below the prefix"},
    {"user name is empty", Code::unavailable,
     "etcd has authentication on and knows no user of this connection: give a client certificate whose common name is an etcd user"},
    {"invalid auth token", Code::unavailable, "etcd has authentication on: give a client certificate whose common name is an etcd user"},
    {"no leader", Code::unavailable, "etcd's members have no leader now: is a majority of them running?"},
    {"corrupt", Code::unavailable, "etcd has found damage in its data: see its log"},
    {"certificate required", Code::unavailable, "etcd wants a client certificate: --etcd-certfile and --etcd-keyfile"},
    {"bad certificate", Code::unavailable,
     "etcd does not accept the client certificate of --etcd-certfile: did its --trusted-ca-file sign it?"},
    {"certificate is not accepted", Code::unavailable, "is --etcd-cafile the authority that signed etcd's certificate?"},
};

Error explained(std::string where, const GrpcStatus& status) {
  Error out{Code::internal, 0, where + ": " + status.message, nullptr};
  if (status.code == GrpcCode::unavailable || status.code == GrpcCode::cancelled) out.code = Code::unavailable;
  if (status.code == GrpcCode::deadline_exceeded) out.code = Code::timeout;
  if (status.code == GrpcCode::resource_exhausted) out.code = Code::exhausted;
  for (const Explanation& one : explanations) {
    if (!says(status, one.text)) continue;
    out.code = one.code;
    out.message.append(" (").append(one.advice).append(")");
    break;
  }
  return out;
}

}  // namespace

struct EtcdClient::Method {
  std::string_view path;
  bool repeatable;  ///< doing it twice is doing it once
};

static constexpr std::string_view range_path = "/etcdserverpb.KV/Range", txn_path = "/etcdserverpb.KV/Txn",
                                  compact_path = "/etcdserverpb.KV/Compact", watch_path = "/etcdserverpb.Watch/Watch";

Result<std::vector<std::string>> parse_endpoints(std::string_view list) {
  std::vector<std::string> out;
  for (std::string_view part : split(list, ',')) {
    part = trim(part);
    auto url = io::Url::parse(part);
    if (!url || (url->scheme != "http" && url->scheme != "https") || url->host.empty() || url->target != "/" || !url->user_info.empty())
      return fail(Code::invalid, "an etcd endpoint must be like https://HOST:2379, not " + quoted(part));
    out.emplace_back(part);
  }
  return out;
}

Result<std::unique_ptr<EtcdClient>> EtcdClient::make(ClientOptions options) {
  std::vector<io::Url> urls;
  for (const std::string& endpoint : options.endpoints) urls.push_back(TRY(io::Url::parse(endpoint)));
  if (urls.empty()) return fail(Code::invalid, "etcd needs at least one endpoint");
  return std::unique_ptr<EtcdClient>(new EtcdClient(std::move(options), std::move(urls)));
}

void EtcdClient::leave() {
  connection_.reset();
  current_ = (current_ + 1) % urls_.size();
}

std::unexpected<Error> EtcdClient::failure(const GrpcStatus& status) const {
  return std::unexpected(explained("etcd " + urls_[current_].text(), status));
}

// One connection for all who wait. Every endpoint is tried once.
Task<Result<EtcdClient::Connection>> EtcdClient::connection() {
  while (connecting_) {
    connected_.reset();
    co_await connected_.wait();
  }
  if (connection_ && connection_->usable()) co_return connection_;
  struct Connecting {
    EtcdClient* self;
    explicit Connecting(EtcdClient* client) : self(client) { self->connecting_ = true; }
    Connecting(const Connecting&) = delete;
    ~Connecting() {
      self->connecting_ = false;
      self->connected_.set();
    }
  } connecting(this);
  connection_.reset();
  std::string reasons;
  for (size_t i = 0; i < urls_.size(); ++i) {
    auto made = co_await io::GrpcConnection::connect(urls_[current_], options_.tls, options_.connect_timeout);
    if (made) {
      reported_ = false;
      connection_ = std::move(*made);
      co_return connection_;
    }
    GrpcStatus status{GrpcCode::unavailable, made.error().message, false, false};
    if (!reasons.empty()) reasons += "; ";
    reasons += explained("etcd " + urls_[current_].text(), status).message;
    current_ = (current_ + 1) % urls_.size();
  }
  if (!std::exchange(reported_, true)) log::warn("store", "no etcd can be reached; trying on", {{"reason", reasons}});
  co_return fail(Code::unavailable, std::move(reasons));
}

// What the server refused without looking at it, and what never reached it, may be sent again; else only what may happen twice.
bool EtcdClient::may_repeat(const Method& method, const GrpcStatus& status) {
  if (!status.from_server) return !status.sent || method.repeatable;
  if (says(status, "no leader") || says(status, "too many requests")) return true;
  return method.repeatable && status.code == GrpcCode::unavailable;
}

Task<Result<std::string>> EtcdClient::call(const Method* method, std::string request) {
  Executor& executor = *Executor::current();
  const Instant deadline = executor.now() + options_.patience;
  for (Duration pause = first_pause;; pause = std::min(2 * pause, longest_pause)) {
    auto connected = co_await connection();
    Error error;
    bool again = true;
    if (connected) {
      const Duration left = std::max<Duration>(deadline - executor.now(), least_attempt);
      auto answer = co_await (*connected)->call(std::string(method->path), request, metadata(), std::min(options_.request_timeout, left));
      if (answer.status.ok()) co_return std::move(answer.message);
      error = explained("etcd " + urls_[current_].text(), answer.status);
      again = may_repeat(*method, answer.status);
      if (connection_ == *connected && (!answer.status.from_server || answer.status.code == GrpcCode::unavailable)) leave();
      if (!again && !answer.status.from_server) error.message += "; whether it was written is not known";
    } else {
      error = std::move(connected.error());
    }
    if (!again || executor.now() + pause > deadline) co_return std::unexpected(std::move(error));
    co_await sleep_for(pause);
  }
}

Task<Result<std::string>> EtcdClient::range(std::string request) {
  static constexpr Method method{range_path, true};
  return call(&method, std::move(request));
}
Task<Result<std::string>> EtcdClient::txn(std::string request) {
  static constexpr Method method{txn_path, false};
  return call(&method, std::move(request));
}
Task<Result<std::string>> EtcdClient::compact(std::string request) {
  static constexpr Method method{compact_path, true};
  return call(&method, std::move(request));
}

Task<Result<std::unique_ptr<io::GrpcStream>>> EtcdClient::watch(std::string request) {
  auto connected = CO_TRY(co_await connection());
  auto opened = co_await connected->open(std::string(watch_path), std::move(request), metadata(), options_.request_timeout);
  if (opened.stream) co_return std::move(opened.stream);
  auto error = failure(opened.status);
  if (connection_ == connected) leave();
  co_return error;
}

}  // namespace estiba::store::etcd
