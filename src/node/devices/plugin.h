// DevicePlugin: the connection to one device plugin, over which it says what devices it has, until it ends.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/function.h"
#include "base/task.h"
#include "io/grpc.h"
#include "node/devices/plugin_api.h"

namespace estiba::node {

class DevicePlugin {
 public:
  struct Handlers {
    UniqueFunction<void(const std::vector<plugin_api::Device>&)> listed;
    UniqueFunction<void()> lost;  ///< the connection has ended; may destroy the plugin only after a yield
  };
  /// `socket` is the plugin's own; it is connected to at once.
  DevicePlugin(std::string resource, std::string socket, plugin_api::Options options, Handlers handlers);

  const plugin_api::Options& options() const { return options_; }
  bool connected() const { return connection_ && connection_->usable(); }

  /// Errors (unavailable, or as the plugin's status says) name the resource and the method.
  Task<Result<plugin_api::ContainerAllocation>> allocate(std::vector<std::string> ids);
  /// Which of the free devices go together well; empty when the plugin has no opinion.
  Task<std::vector<std::string>> preferred(plugin_api::ContainerPreference preference);
  Task<Result<void>> before_start(std::vector<std::string> ids);

 private:
  static Task<void> run(DevicePlugin* self);
  Task<Result<void>> listen();
  Task<Result<std::string>> call(std::string method, std::string message, Duration limit);

  const std::string resource_, socket_;
  const plugin_api::Options options_;
  Handlers handlers_;
  std::shared_ptr<io::GrpcConnection> connection_;
  Job job_;  // last: ends first
};

}  // namespace estiba::node
