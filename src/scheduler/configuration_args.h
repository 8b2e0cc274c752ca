// The arguments of plugins in a KubeSchedulerConfiguration.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "model/json.h"
#include "scheduler/plugin_args.h"

namespace estiba::scheduler {

/// What is wrong with a configuration: "field: what", as Kubernetes words it.
class Faults {
 public:
  void add(std::string_view field, std::string_view what) { all_.push_back(std::string(field) + ": " + std::string(what)); }
  void invalid(std::string_view field, std::string_view value, std::string_view what);
  void unsupported(std::string_view field, std::string_view value, std::string_view supported);
  const std::vector<std::string>& all() const { return all_; }

 private:
  std::vector<std::string> all_;
};

/// "a[3]"
std::string element(std::string_view list, size_t index);

/// Reads what `args` (JSON; empty: the defaults) says to `plugin` into `into`. `path` is where it stands, for messages.
void read_plugin_args(std::string_view plugin, std::string_view args, const std::string& path, PluginArgs& into, Faults& faults);

}  // namespace estiba::scheduler
