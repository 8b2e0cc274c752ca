// The options of config mounts, as mount(8) and runc name them, sorted by what the kernel does with them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/spec.h"

namespace estiba::runtime {

struct MountOptions {
  bool bind = false, recursive = false;
  bool idmap = false, idmap_recursive = false;     ///< "idmap", or mappings of the mount's own; "ridmap": with what is mounted below
  unsigned long flags = 0;                         ///< MS_* for mount(2), without bind and propagation
  uint64_t attributes = 0, cleared = 0;            ///< MOUNT_ATTR_* of this mount (bind mounts)
  uint64_t tree_attributes = 0, tree_cleared = 0;  ///< the same for all mounts below too ("rro", …)
  std::vector<unsigned long> propagation;          ///< MS_PRIVATE | MS_REC and the like, in order
  std::string data;                                ///< what the file system itself wants
};

/// Errors name the field and the option.
Result<MountOptions> parse_mount_options(const SpecMount& mount);

/// "rslave" → MS_SLAVE | MS_REC; 0 for what is no propagation.
unsigned long propagation_by_name(std::string_view name);

}  // namespace estiba::runtime
