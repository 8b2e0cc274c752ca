#include "node/dra/driver.h"

#include <algorithm>
#include <array>

#include "base/log.h"
#include "base/strings.h"

namespace estiba::node {

using namespace std::chrono_literals;

namespace {
constexpr Duration connect_limit = 10s;
constexpr Duration call_limit = 45s;  // as long as the kubelet waits for a driver
constexpr Duration look_again = 1s;
constexpr Duration ask_health_again = 5s;
constexpr Duration health_limit = 24h;  // until the first answer
constexpr std::array<std::string_view, 2> known_services{"v1.DRAPlugin", "v1beta1.DRAPlugin"};

// Each claim has an answer, and none of them an error.
template <class Entry>
Result<void> check_answers(const std::string& what, const std::vector<dra_api::Claim>& asked, const std::vector<Entry>& answered) {
  size_t known = 0;
  for (const Entry& entry : answered) {
    const auto claim = std::ranges::find(asked, entry.uid, &dra_api::Claim::uid);
    if (claim == asked.end()) return fail(Code::malformed, what + " returned result for unknown claim UID " + entry.uid);
    if (!entry.claim.error.empty())
      return fail(Code::unavailable, what + " failed for ResourceClaim " + claim->name + ": " + entry.claim.error);
    ++known;
  }
  if (known < asked.size()) return fail(Code::malformed, what + " skipped " + std::to_string(asked.size() - known) + " ResourceClaims");
  return {};
}
}  // namespace

Result<std::string> choose_dra_service(const std::string& driver, const std::vector<std::string>& services) {
  if (driver.empty()) return fail(Code::invalid, "DRA driver name is empty");
  const auto found = std::ranges::find_if(services, [](const std::string& each) { return std::ranges::contains(known_services, each); });
  if (found != services.end()) return "k8s.io.kubelet.pkg.apis.dra." + *found;
  std::string known;
  for (const std::string_view each : known_services) known += (known.empty() ? "" : ", ") + quoted(each);
  return fail(Code::invalid, "DRA driver " + driver + ": none of the services supported by the plugin (" + join(services, ", ") +
                                 ") are supported by this node (" + known + ")");
}

DraDriver::DraDriver(std::string name, std::string socket, std::string service, Handlers handlers)
    : name_(std::move(name)), socket_(std::move(socket)), service_(std::move(service)), handlers_(std::move(handlers)) {
  job_ = Job(run(this));
}

Task<void> DraDriver::run(DraDriver* self) {
  co_await yield_now();  // whoever makes this has it before it calls
  for (;;) {
    auto made = co_await io::GrpcConnection::connect_unix(self->socket_, connect_limit);
    if (!made) {
      co_await sleep_for(look_again);
      continue;
    }
    self->connection_ = std::move(*made);
    self->here_.set();
    self->handlers_.connected(true);
    co_await self->listen();
    log::info("node", "the connection to a DRA driver has ended", {{"driver", self->name_}, {"socket", self->socket_}});
    self->here_.reset();
    self->handlers_.connected(false);
  }
}

// Returns when the connection has ended. Drivers need not have the service.
Task<void> DraDriver::listen() {
  for (bool asks = true; connected();) {
    if (!asks) {
      co_await sleep_for(look_again);
      continue;
    }
    auto opened = co_await connection_->open("/v1alpha1.DRAResourceHealth/NodeWatchResources", {}, {}, health_limit);
    io::GrpcStatus status = opened.status;
    if (opened.stream) {
      while (auto message = co_await opened.stream->next()) {
        dra_api::WatchResponse listed;
        if (protobuf::decode(*message, listed)) handlers_.health(listed.devices);
      }
      status = opened.stream->status();
    }
    asks = status.code != io::GrpcCode::unimplemented;
    if (asks && connected()) co_await sleep_for(ask_health_again);
  }
}

Task<Result<std::string>> DraDriver::call(std::string method, std::string message) {
  co_await here_.wait_for(connect_limit);
  const std::shared_ptr<io::GrpcConnection> connection = connection_;
  if (!connection || !connection->usable()) co_return fail(Code::unavailable, "DRA driver " + name_ + " is not connected: is it running?");
  auto answer = co_await connection->call("/" + service_ + "/" + method, std::move(message), {}, call_limit);
  if (answer.status.ok()) co_return std::move(answer.message);
  co_return fail(Code::unavailable, method + ": " + answer.status.message);
}

Task<Result<std::vector<dra_api::PreparedEntry>>> DraDriver::prepare(std::vector<dra_api::Claim> claims) {
  const std::string message = CO_TRY(co_await call("NodePrepareResources", protobuf::encode(dra_api::ClaimsRequest{claims})));
  dra_api::PrepareResponse answer;
  if (!protobuf::decode(message, answer)) co_return fail(Code::malformed, "NodePrepareResources: the answer cannot be read");
  CO_TRY(check_answers("NodePrepareResources", claims, answer.claims));
  co_return std::move(answer.claims);
}

Task<Result<void>> DraDriver::unprepare(std::vector<dra_api::Claim> claims) {
  const std::string message = CO_TRY(co_await call("NodeUnprepareResources", protobuf::encode(dra_api::ClaimsRequest{claims})));
  dra_api::UnprepareResponse answer;
  if (!protobuf::decode(message, answer)) co_return fail(Code::malformed, "NodeUnprepareResources: the answer cannot be read");
  co_return check_answers("NodeUnprepareResources", claims, answer.claims);
}

}  // namespace estiba::node
