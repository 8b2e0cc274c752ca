// CsiDrivers: the storage drivers that have registered on this node (plugins/registry.h), and what the API tells of them: an entry in the
// node's CSINode with the driver's own name for the node, its topology and how many volumes it takes; labels and an annotation of the Node
// (pkg/volume/csi/nodeinfomanager). On the node's thread.
#pragma once
#include <map>
#include <string>

#include "base/async_mutex.h"
#include "base/function.h"
#include "base/task.h"
#include "node/context.h"
#include "node/csi/driver.h"
#include "node/plugins/registry.h"

namespace estiba::node {

class CsiDrivers {
 public:
  explicit CsiDrivers(const Context& context) : context_(context) {}
  CsiDrivers(const CsiDrivers&) = delete;

  PluginRegistry::Handler registry_handler();
  /// Calls when a driver has registered.
  void on_registered(UniqueFunction<void(const std::string& name)> handler) { on_registered_ = std::move(handler); }

  /// Code::unavailable when no such driver has registered; the error says what to do.
  Result<CsiDriverRef> find(const std::string& name) const;

 private:
  struct Entry {
    std::string socket;  ///< by which it has registered
    CsiDriverRef driver;
  };
  static Task<Result<void>> take(CsiDrivers* self, RegisteredPlugin plugin);
  void lose(const RegisteredPlugin& plugin);
  static Task<void> withdraw(CsiDrivers* self, std::string name);
  Task<Result<void>> withdraw_once(std::string name);
  Task<Result<void>> tell_node(std::string name, csi_api::NodeGetInfoResponse info);
  Task<Result<void>> tell_csi_node(std::string name, csi_api::NodeGetInfoResponse info);

  const Context& context_;
  std::map<std::string, Entry> drivers_;  // by name
  UniqueFunction<void(const std::string&)> on_registered_;
  AsyncMutex telling_;  // one thing at a time is told of a driver: what it was is not said after what it is
  TaskGroup tasks_;     // last: they use the rest
};

}  // namespace estiba::node
