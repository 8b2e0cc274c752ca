// The options of a volume of the driver "local": type, device and o, as mount(8) takes them.
#pragma once
#include <map>
#include <string>

#include "base/result.h"

namespace estiba::volume {

struct MountOptions {
  std::string type, device, data;  ///< data: the file system's own options
  unsigned long flags = 0;         ///< MS_*
  unsigned long propagation = 0;   ///< MS_PRIVATE and the like, or 0
};

/// "invalid option: x" for a key that the driver does not know, "missing required option: device" when what is there needs it.
Result<MountOptions> parse_mount_options(const std::map<std::string, std::string>& options);
/// addr=<host name> in NFS' and CIFS' data must be an address, which the kernel cannot look up: blocks.
Result<std::string> resolve_address(std::string data);

}  // namespace estiba::volume
