// Network configuration lists of the Container Network Interface (CNI specification 1.1, section 1), as administrators and network add-ons
// put them into /etc/cni/net.d. Parsing is pure.
#pragma once
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::network::cni {

struct Plugin {
  std::string type;                                 ///< the program's name in the plugins' folder
  std::string text;                                 ///< its own configuration, a JSON object
  std::set<std::string, std::less<>> capabilities;  ///< what it wants told of each pod (runtimeConfig): "portMappings", …
};

struct NetworkList {
  std::string file;     ///< where it was read
  std::string name;     ///< of the network
  std::string version;  ///< of the specification that is spoken with the plugins, "1.0.0"
  std::string text;     ///< the file's own
  bool check = true, gc = true;
  std::vector<Plugin> plugins;  ///< in the order of ADD

  bool speaks(std::string_view least) const;  ///< the version is that or a later one
  bool has_capability(std::string_view name) const;
};

/// A list (.conflist), or one plugin's configuration (.conf), which stands for a list of itself. Errors name the file and the field.
Result<NetworkList> parse_list(std::string text, const std::string& file);

/// The first of the folder's *.conf, *.conflist and *.json by name, as containerd takes it; those that cannot be read are passed over.
/// unavailable when there is none, with what is wrong in those that are there.
Result<NetworkList> load_list(const std::string& folder);

}  // namespace estiba::network::cni
