#include "node/devices/devices.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "engine/cdi.h"
#include "model/names.h"
#include "node/devices/plugin.h"
#include "node/status.h"
#include "os/file.h"

namespace estiba::node {

using model::ObjectRef;
using namespace model::core_v1;
using namespace std::chrono_literals;

namespace {

// As long as the kubelet waits for a plugin to come back before the Node tells nothing of its resource any more.
constexpr Duration remembered = 5min;
constexpr Duration options_limit = 10s;  // for a plugin to say what it wants

std::vector<const Container*> all_containers(const Pod& pod) {
  std::vector<const Container*> out;
  for (const Container& container : pod.spec.initContainers) out.push_back(&container);
  for (const Container& container : pod.spec.containers) out.push_back(&container);
  return out;
}

bool is_init(const Pod& pod, const Container& container) {
  return std::ranges::contains(pod.spec.initContainers, container.name, &Container::name);
}

// pkg/apis/core/v1/helper/helpers.go, IsExtendedResourceName.
bool is_extended_resource(const std::string& name) {
  const size_t slash = name.find('/');
  if (slash == std::string::npos || name.starts_with("requests.")) return false;
  const std::string_view domain = std::string_view(name).substr(0, slash);
  if (domain == "kubernetes.io" || domain.ends_with(".kubernetes.io")) return false;
  return model::check_qualified_name("requests." + name).empty();
}

std::unexpected<Error> bad_resource(const std::string& name) {
  return fail(Code::invalid, "invalid name of device plugin resource: " + quoted(name) +
                                 ": a name like example.com/gpu is expected, not in the domain kubernetes.io");
}

Error of_resource(const std::string& what, const std::string& container, Error error) {
  error.message = what + " failed due to " + error.message + ", which is unexpected (container " + quoted(container) + ")";
  return error;
}

}  // namespace

Devices::Devices(std::string dir, std::string file, io::Loop& loop)
    : dir_(std::move(dir)),
      file_(std::move(file)),
      loop_(loop),
      grpc_({{"/v1beta1.Registration/Register", {.unary = [this](std::string message) { return registered(std::move(message)); }}}}) {}

Devices::~Devices() = default;

Result<void> Devices::start() {
  if (auto text = os::read_file(file_)) TRY_AS(file_, ledger_.load(*text));
  else if (text.error().code != Code::not_found) return std::unexpected(std::move(text.error()));
  for (const auto& [resource, count] : ledger_.counts()) tasks_.start(forget_later(this, resource, nullptr));
  TRY(os::make_dirs(dir_, 0755));
  io::HttpServerOptions http;
  http.max_body_bytes = 1 << 20;
  http_ = std::make_unique<io::HttpServer>(std::vector<io::Loop*>{&loop_}, http,
                                           [this](io::Request& request, io::Response& response) { return grpc_.serve(request, response); });
  // Only once nobody else listens there do the plugins' sockets go.
  if (auto listening = http_->listen_unix(dir_ + "/kubelet.sock", 0600); !listening) {
    http_.reset();
    return listening;
  }
  return clear_sockets();
}

Task<void> Devices::stop() {
  if (http_) co_await http_->drain(200ms);
  http_.reset();
  tasks_.cancel();
  plugins_.clear();
  on_change_ = nullptr;
}

// Plugins of an earlier run watch for this, and register anew.
Result<void> Devices::clear_sockets() {
  for (const os::DirEntry& entry : TRY(os::list_dir(dir_))) {
    struct stat info{};
    const std::string path = dir_ + "/" + entry.name;
    if (entry.name == "kubelet.sock" || ::lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) continue;
    TRY(os::remove_file(path));
  }
  return {};
}

Result<void> Devices::save() const { return os::write_file_atomic(file_, ledger_.save(), 0600); }

void Devices::changed() {
  if (auto saved = save(); !saved) log::warn("node", "what devices there are is not written down", {{"error", saved.error()}});
  if (on_change_) on_change_();
}

// --- plugins ---------------------------------------------------------------------------------------------------------

Result<void> Devices::check(const plugin_api::RegisterRequest& request) const {
  if (request.version != plugin_api::version)
    return fail(Code::invalid, "requested API version " + quoted(request.version) + " is not supported by kubelet. Supported version is " +
                                   quoted(plugin_api::version));
  if (!is_extended_resource(request.resource_name)) return bad_resource(request.resource_name);
  if (request.endpoint.empty() || request.endpoint.find('/') != std::string::npos || request.endpoint == "kubelet.sock")
    return fail(Code::invalid, "invalid endpoint " + quoted(request.endpoint) + ": the name of a socket in " + dir_ + " is expected");
  return {};
}

Task<io::GrpcAnswer> Devices::registered(std::string message) {
  plugin_api::RegisterRequest request;
  if (!protobuf::decode(message, request)) co_return io::GrpcAnswer{{io::GrpcCode::invalid_argument, "the message cannot be read"}, {}};
  if (auto good = check(request); !good) {
    log::warn("node", "a device plugin is refused", {{"resource", request.resource_name}, {"error", good.error()}});
    co_return io::GrpcAnswer{io::grpc_status(good.error()), {}};
  }
  log::info("node", "a device plugin has registered", {{"resource", request.resource_name}, {"endpoint", request.endpoint}});
  add(request.resource_name, dir_ + "/" + request.endpoint, request.options);
  co_return io::GrpcAnswer{};
}

PluginRegistry::Handler Devices::registry_handler() {
  // That its socket has gone says nothing of the plugin: its connection does.
  return {.registered = [this](RegisteredPlugin plugin) { return take(this, std::move(plugin)); }, .gone = [](const RegisteredPlugin&) {}};
}

Task<Result<void>> Devices::take(Devices* self, RegisteredPlugin plugin) {
  if (!std::ranges::contains(plugin.versions, plugin_api::version))
    co_return fail(Code::invalid, "device plugin " + quoted(plugin.name) + ": none of its API versions (" + join(plugin.versions, ", ") +
                                      ") is supported. Supported version is " + quoted(plugin_api::version));
  if (!is_extended_resource(plugin.name)) co_return bad_resource(plugin.name);
  auto connection = CO_TRY_AS("connect to " + plugin.endpoint, co_await io::GrpcConnection::connect_unix(plugin.endpoint, options_limit));
  const auto answer = co_await connection->call("/v1beta1.DevicePlugin/GetDevicePluginOptions", {}, {}, options_limit);
  plugin_api::Options options;
  if (!answer.status.ok()) co_return fail(Code::unavailable, "GetDevicePluginOptions: " + answer.status.message);
  if (!protobuf::decode(answer.message, options)) co_return fail(Code::malformed, "GetDevicePluginOptions: the answer cannot be read");
  self->add(plugin.name, plugin.endpoint, options);
  co_return {};
}

void Devices::add(const std::string& resource, std::string socket, plugin_api::Options options) {
  DevicePlugin::Handlers handlers{.listed =
                                      [this, resource](const std::vector<plugin_api::Device>& devices) {
                                        ledger_.set_devices(resource, devices);
                                        changed();
                                      },
                                  .lost = [this, resource] { lost(resource); }};
  plugins_[resource] = std::make_unique<DevicePlugin>(resource, std::move(socket), options, std::move(handlers));
}

DevicePlugin* Devices::plugin(const std::string& resource) {
  const auto found = plugins_.find(resource);
  return found == plugins_.end() ? nullptr : found->second.get();
}

void Devices::lost(const std::string& resource) {
  ledger_.set_all_unhealthy(resource);
  changed();
  tasks_.start(forget_later(this, resource, plugin(resource)));
}

// `plugin` is the one that has gone: another one of the resource keeps it known.
Task<void> Devices::forget_later(Devices* self, std::string resource, const DevicePlugin* plugin) {
  co_await sleep_for(remembered);
  if (self->plugin(resource) != plugin) co_return;
  self->plugins_.erase(resource);
  self->ledger_.forget(resource);
  self->changed();
}

// --- containers ------------------------------------------------------------------------------------------------------

bool Devices::wanted_by(const ObjectRef& pod) const {
  if (ledger_.has(pod.meta().uid)) return false;
  return std::ranges::any_of(all_containers(pod.as<Pod>()),
                             [&](const Container* container) { return !device_wishes(*container, ledger_).empty(); });
}

// With the free ones on `nodes` alone where these are enough.
Task<Result<std::vector<std::string>>> Devices::preferred(DeviceLedger::Wish wish, DeviceLedger::Ids must, std::optional<NumaNodes> nodes) {
  std::vector<std::string> out;
  if (DevicePlugin* one = plugin(wish.resource)) {
    DeviceLedger::Ids free = ledger_.free(wish.resource);
    if (nodes)
      if (auto near = ledger_.near(wish.resource, free, *nodes); near.size() + must.size() >= wish.count) free = std::move(near);
    plugin_api::ContainerPreference preference{.available = {free.begin(), free.end()},
                                               .must_include = {must.begin(), must.end()},
                                               .size = int32_t(std::min<size_t>(wish.count, INT32_MAX))};
    preference.available.insert(preference.available.end(), must.begin(), must.end());
    if (preference.available.size() >= wish.count && must.size() < wish.count) out = co_await one->preferred(std::move(preference));
  }
  co_return ledger_.choose(wish, must, out, nodes);
}

// Of a container, or of its whole pod: containers and sidecars together, or the largest init container.
Hints Devices::hints(const Pod& pod, const Container* container, const Reusable& reusable, const NumaNodes& all) const {
  std::map<std::string, size_t> wishes, first;
  if (container) wishes = device_wishes(*container, ledger_);
  else
    for (const Container* one : all_containers(pod)) {
      const bool ends = is_init(pod, *one) && !is_sidecar(*one);
      for (const auto& [resource, count] : device_wishes(*one, ledger_)) {
        if (ends) first[resource] = std::max(first[resource], wishes[resource] + count);
        else wishes[resource] += count;
      }
    }
  for (const auto& [resource, count] : first) wishes[resource] = std::max(wishes[resource], count);
  Hints out;
  for (const auto& [resource, count] : wishes) {
    const auto again = reusable.find(resource);
    out[resource] = ledger_.hints(resource, count, again == reusable.end() ? DeviceLedger::Ids{} : again->second, all);
  }
  return out;
}

Task<Result<void>> Devices::give_one(DeviceLedger::Wish wish, Reusable& reusable, std::optional<NumaNodes> nodes, bool ends) {
  DeviceLedger::Ids& again = reusable[wish.resource];
  auto ids = co_await preferred(wish, again, std::move(nodes));
  if (!ids) co_return std::unexpected(of_resource("Allocate", wish.container, std::move(ids.error())));
  // Theirs from now on: another pod's choice may come before the plugin's answer.
  ledger_.give(wish, *ids, {});
  DevicePlugin* one = plugin(wish.resource);
  auto answer = one ? co_await one->allocate(*ids)
                    : Result<plugin_api::ContainerAllocation>(fail(Code::unavailable, "no plugin of " + wish.resource + " is registered"));
  if (!answer) co_return std::unexpected(of_resource("Allocate", wish.container, std::move(answer.error())));
  for (const std::string& id : *ids) {
    if (ends) again.insert(id);
    else again.erase(id);
  }
  ledger_.give(wish, std::move(*ids), std::move(*answer));
  co_return {};
}

Task<Result<void>> Devices::give(ObjectRef pod, std::set<std::string> living, Place place) {
  const Pod& typed = pod.as<Pod>();
  const std::string uid = pod.meta().uid;
  living.insert(uid);
  ledger_.keep_only(living);
  const bool given = ledger_.has(uid);
  Reusable reusable;
  for (const Container* container : all_containers(typed)) {
    auto nodes =
        place(*container, [&](const NumaNodes& all, bool of_pod) { return hints(typed, of_pod ? nullptr : container, reusable, all); });
    Result<void> done;
    if (!nodes) done = std::unexpected(std::move(nodes.error()));
    if (!given && done) {
      const bool ends = is_init(typed, *container) && !is_sidecar(*container);
      for (const auto& [resource, count] : device_wishes(*container, ledger_))
        if (done) done = co_await give_one({uid, container->name, resource, count}, reusable, *nodes, ends);
    }
    if (done) continue;
    if (!given) ledger_.release(uid);
    co_return done;
  }
  if (auto saved = save(); !saved) {
    if (!given) ledger_.release(uid);
    co_return std::unexpected(std::move(saved.error()).context("write down which devices the pod has"));
  }
  co_return {};
}

Task<Result<void>> Devices::add_to(engine::ContainerSpec& spec, std::string pod_uid, std::string container) {
  for (auto& [resource, given] : ledger_.given_to(pod_uid, container)) {
    if (DevicePlugin* one = plugin(resource); one && one->connected()) CO_TRY(co_await one->before_start(given.ids));
    for (const auto& [name, value] : given.answer.envs)
      if (!std::ranges::contains(spec.env, name, &std::pair<std::string, std::string>::first)) spec.env.emplace_back(name, value);
    for (const plugin_api::Mount& mount : given.answer.mounts) {
      engine::Mount out{.host_path = mount.host_path, .container_path = mount.container_path};
      out.readonly = mount.read_only;
      spec.mounts.push_back(std::move(out));
    }
    for (const plugin_api::DeviceSpec& device : given.answer.devices)
      spec.devices.push_back({device.host_path, device.container_path, device.permissions});
    for (const auto& [name, value] : given.answer.annotations) spec.annotations[name] = value;
    for (const plugin_api::CdiDevice& device : given.answer.cdi_devices) spec.cdi_devices.push_back(device.name);
    // Those of the plugin alone: what a pod's own annotations say gives it no device.
    for (std::string& name : CO_TRY_AS("plugin of " + resource, engine::cdi_annotated(given.answer.annotations)))
      spec.cdi_devices.push_back(std::move(name));
  }
  co_return {};
}

}  // namespace estiba::node
