// User namespaces and what only their root may make: user_namespaces(7), id-mapped mounts by mount_setattr(2).
//
// A process with threads can neither enter a user namespace nor give it its ids. So a helper does it: a child that shares this process's
// memory (nothing is copied, whatever its size) and makes no call but those that are needed. Any thread may ask.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "os/fd.h"

namespace estiba::os {

struct IdMapping {
  uint32_t inside = 0, outside = 0, size = 0;
  bool operator==(const IdMapping&) const = default;
};
using IdMappings = std::vector<IdMapping>;

/// A new user namespace with these ids, held by its descriptor alone. It needs CAP_SETUID and CAP_SETGID outside.
Result<Fd> new_user_namespace(const IdMappings& uids, const IdMappings& gids);
/// A new namespace of one kind that belongs to the user namespace `user`, held by its descriptor alone. For net, ipc and uts.
Result<Fd> new_namespace_inside(int user, int kind);

/// The text of uid_map and gid_map: "inside outside size" in lines.
std::string id_map_text(const IdMappings& mappings);
/// Where `id` of inside is outside; -1 when it is not mapped.
int64_t id_outside(const IdMappings& mappings, uint32_t id);

/// The open, detached mount (os::open_tree with `clone`) shows its files' owners as `user` maps them: what is 0 on the file system is the
/// namespace's 0. MOUNT_ATTR_IDMAP, since Linux 5.12; Code::unsupported when the file system, which the error names, does not know that.
Result<void> map_mount_ids(int mount, int user, bool recursive);

}  // namespace estiba::os
