// Devices of plugins: registers them, tells what they offer, and gives containers what they ask for (device plugin API v1beta1,
// https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/).
//
//   <dir>/kubelet.sock   here plugins register; removed and made anew at each start, with the plugins' own sockets, which is how they learn
//                        that they must register again
//   <file>               what pods have been given, so that a restart gives their containers the same (ledger.h)
//
// On the node's thread.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/task.h"
#include "engine/spec.h"
#include "io/grpc_server.h"
#include "io/loop.h"
#include "model/object.h"
#include "node/devices/ledger.h"
#include "node/placement/placement.h"
#include "node/plugins/registry.h"

namespace estiba::node {

class DevicePlugin;

class Devices {
 public:
  Devices(std::string dir, std::string file, io::Loop& loop);
  ~Devices();

  /// Reads what was given, and listens. An error leaves what was given in force, and no plugin can register: another kubelet may listen
  /// there.
  Result<void> start();
  /// Stops listening and lets the plugins go.
  Task<void> stop();
  /// Takes device plugins that register by a socket of their own instead of kubelet.sock: their name is the resource.
  PluginRegistry::Handler registry_handler();
  /// Calls when the counts have changed.
  void on_change(UniqueFunction<void()> handler) { on_change_ = std::move(handler); }

  std::map<std::string, DeviceLedger::Count> counts() const { return ledger_.counts(); }

  /// Whether a pod asks for devices that it has not been given yet.
  bool wanted_by(const model::ObjectRef& pod) const;
  /// Decides where a container's devices should be, and may refuse it.
  using Place = std::function<Result<std::optional<NumaNodes>>(const model::core_v1::Container&, const DeviceHints&)>;
  /// Chooses devices for all containers of a pod, where `place` says, asks their plugins, and keeps the answers. `living`: the uids of the
  /// pods that may keep theirs. Errors say which resource is short, what the plugin said, or what `place` did; nothing is given then.
  Task<Result<void>> give(model::ObjectRef pod, std::set<std::string> living, Place place);
  /// What is to be added to a container's spec. Before each start the plugins that want it are told (PreStartContainer). Errors (invalid)
  /// name the resource.
  Task<Result<void>> add_to(engine::ContainerSpec& spec, std::string pod_uid, std::string container);

  const DeviceLedger& ledger() const { return ledger_; }

 private:
  friend class DevicePlugin;
  Task<io::GrpcAnswer> registered(std::string message);
  Result<void> check(const plugin_api::RegisterRequest& request) const;
  static Task<Result<void>> take(Devices* self, RegisteredPlugin plugin);
  void add(const std::string& resource, std::string socket, plugin_api::Options options);
  void changed();
  void lost(const std::string& resource);
  Result<void> clear_sockets();
  Result<void> save() const;
  DevicePlugin* plugin(const std::string& resource);
  static Task<void> forget_later(Devices* self, std::string resource, const DevicePlugin* plugin);
  using Reusable = std::map<std::string, DeviceLedger::Ids>;  // by resource: of init containers that have ended by then
  Task<Result<std::vector<std::string>>> preferred(DeviceLedger::Wish wish, DeviceLedger::Ids must, std::optional<NumaNodes> nodes);
  Task<Result<void>> give_one(DeviceLedger::Wish wish, Reusable& reusable, std::optional<NumaNodes> nodes, bool ends);
  Hints hints(const model::core_v1::Pod& pod, const model::core_v1::Container* container, const Reusable& reusable,
              const NumaNodes& all) const;

  const std::string dir_, file_;
  io::Loop& loop_;
  DeviceLedger ledger_;
  UniqueFunction<void()> on_change_;
  io::GrpcServer grpc_;
  std::unique_ptr<io::HttpServer> http_;
  std::map<std::string, std::unique_ptr<DevicePlugin>> plugins_;  // by resource
  TaskGroup tasks_;                                               // last: they use the rest
};

}  // namespace estiba::node
