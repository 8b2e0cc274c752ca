// PluginRegistry: finds plugins by the sockets that they make in one directory, asks each what it is, and hands it to who serves its type
// (CSIPlugin, DRAPlugin, DevicePlugin), as the kubelet's plugin watcher does (k8s.io/kubelet/pkg/apis/pluginregistration/v1,
// https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/ and KEP-595).
//
//   <dir>/<any name>   a socket that serves pluginregistration.Registration; names that begin with a dot are not looked at
//
// A plugin is there from the moment that its handler has taken it until its socket goes, or is replaced by another one of that name.
// What cannot be reached or is refused is tried again, after half a second first and two minutes at most. On the node's thread.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "io/pool.h"

namespace estiba::node {

struct RegisteredPlugin {
  std::string type, name;
  std::string endpoint;  ///< the absolute path of the socket that serves the plugin itself
  std::vector<std::string> versions;
  std::string socket;  ///< by which it has registered
};

inline constexpr std::string_view csi_plugin_type = "CSIPlugin", dra_plugin_type = "DRAPlugin", device_plugin_type = "DevicePlugin";

class PluginRegistry {
 public:
  struct Handler {
    /// Takes a plugin, which is told of an error as it is and is tried again later. Dropped when the socket goes meanwhile.
    std::function<Task<Result<void>>(RegisteredPlugin)> registered;
    /// The socket of one that was taken has gone. It may be there again under another socket by now.
    std::function<void(RegisteredPlugin)> gone;
  };

  PluginRegistry(std::string dir, io::Pool& pool);
  ~PluginRegistry();
  PluginRegistry(const PluginRegistry&) = delete;

  /// Who takes the plugins of a type; before start().
  void serve(std::string_view type, Handler handler);
  /// Makes the directory and looks for plugins from now on.
  Result<void> start();
  /// Looks no more; nobody is told that plugins have gone.
  void stop();

 private:
  struct Entry;
  using Found = std::map<std::string, std::string>;  // path → what tells one socket of that name from the next
  static Task<void> watch(PluginRegistry* self);
  static Result<Found> look(const std::string& dir);
  void compare(Found found);
  static Task<void> keep(PluginRegistry* self, Entry* entry);
  Task<Result<void>> register_once(Entry* entry);
  Result<RegisteredPlugin> check(const std::string& socket, const std::string& message) const;

  const std::string dir_;
  io::Pool& pool_;
  std::map<std::string, Handler, std::less<>> handlers_;
  std::map<std::string, std::unique_ptr<Entry>> entries_;  // by path
  Job job_;                                                // last: it uses the rest
};

}  // namespace estiba::node
