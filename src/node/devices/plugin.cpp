#include "node/devices/plugin.h"

#include "base/log.h"
#include "base/strings.h"

namespace estiba::node {

using namespace std::chrono_literals;

namespace {
constexpr Duration connect_limit = 10s;
constexpr Duration call_limit = 60s;  // of one answer; the kubelet has 30 s for PreStartContainer and none for Allocate
constexpr Duration list_limit = 24h;  // until the first list
}  // namespace

DevicePlugin::DevicePlugin(std::string resource, std::string socket, plugin_api::Options options, Handlers handlers)
    : resource_(std::move(resource)), socket_(std::move(socket)), options_(options), handlers_(std::move(handlers)) {
  job_ = Job(run(this));
}

Task<void> DevicePlugin::run(DevicePlugin* self) {
  co_await yield_now();  // whoever makes this has it before it calls
  auto done = co_await self->listen();
  log::info("node", "a device plugin has gone",
            {{"resource", self->resource_}, {"socket", self->socket_}, {"error", done ? std::string() : done.error().message}});
  self->handlers_.lost();
}

Task<Result<void>> DevicePlugin::listen() {
  connection_ = CO_TRY_AS("connect to " + socket_, co_await io::GrpcConnection::connect_unix(socket_, connect_limit));
  auto opened = co_await connection_->open("/v1beta1.DevicePlugin/ListAndWatch", {}, {}, list_limit);
  if (!opened.stream) co_return fail(Code::unavailable, "ListAndWatch: " + opened.status.message);
  while (auto message = co_await opened.stream->next()) {
    plugin_api::ListAndWatchResponse listed;
    if (!protobuf::decode(*message, listed)) co_return fail(Code::malformed, "ListAndWatch: the list cannot be read");
    handlers_.listed(listed.devices);
  }
  const io::GrpcStatus& status = opened.stream->status();
  if (status.ok()) co_return {};
  co_return fail(Code::unavailable, "ListAndWatch: " + status.message);
}

Task<Result<std::string>> DevicePlugin::call(std::string method, std::string message, Duration limit) {
  const std::shared_ptr<io::GrpcConnection> connection = connection_;
  if (!connection || !connection->usable())
    co_return fail(Code::unavailable, "the plugin of " + resource_ + " is not connected: is it running?");
  const std::string resource = resource_;
  auto answer = co_await connection->call("/v1beta1.DevicePlugin/" + method, std::move(message), {}, limit);
  if (answer.status.ok()) co_return std::move(answer.message);
  co_return fail(Code::unavailable, method + " of the plugin of " + resource + ": " + answer.status.message);
}

Task<Result<plugin_api::ContainerAllocation>> DevicePlugin::allocate(std::vector<std::string> ids) {
  plugin_api::AllocateRequest request;
  request.containers.push_back({std::move(ids)});
  const std::string resource = resource_;
  const std::string message = CO_TRY(co_await call("Allocate", protobuf::encode(request), call_limit));
  plugin_api::AllocateResponse answer;
  if (!protobuf::decode(message, answer) || answer.containers.size() != 1)
    co_return fail(Code::malformed, "Allocate of the plugin of " + resource + ": an answer for one container is expected");
  co_return std::move(answer.containers[0]);
}

Task<std::vector<std::string>> DevicePlugin::preferred(plugin_api::ContainerPreference preference) {
  if (!options_.preferred_allocation_available) co_return {};
  plugin_api::PreferredAllocationRequest request;
  request.containers.push_back(std::move(preference));
  const std::string resource = resource_;
  auto message = co_await call("GetPreferredAllocation", protobuf::encode(request), call_limit);
  plugin_api::AllocateRequest answer;  // of the same shape
  if (message && protobuf::decode(*message, answer) && answer.containers.size() == 1) co_return std::move(answer.containers[0].ids);
  log::warn("node", "a device plugin's preference is not known; any free devices are given",
            {{"resource", resource}, {"error", message ? "an answer for one container is expected" : message.error().message}});
  co_return {};
}

Task<Result<void>> DevicePlugin::before_start(std::vector<std::string> ids) {
  if (!options_.pre_start_required) co_return {};
  CO_TRY(co_await call("PreStartContainer", protobuf::encode(plugin_api::DeviceIds{std::move(ids)}), call_limit));
  co_return {};
}

}  // namespace estiba::node
