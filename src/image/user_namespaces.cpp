#include "image/user_namespaces.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>

#include "image/overlay.h"
#include "os/file.h"
#include "os/mount.h"
#include "os/user_namespace.h"

namespace estiba::image {

Result<void> try_user_namespace(const std::string& data_dir, const std::string& run_dir, uint32_t first, uint32_t size) {
  if (!os::has_mount_api()) return fail(Code::unsupported, "id-mapped mounts need Linux 5.12");
  const os::IdMappings ids = {{0, first, size}};
  Fd user = TRY_AS("user namespace", os::new_user_namespace(ids, ids));
  Fd tree = TRY(os::open_tree(AT_FDCWD, run_dir, true, false));
  TRY_AS(run_dir, os::map_mount_ids(tree.get(), user.get(), false));
  // Beside the containers' roots, on the same file system; the start of an engine would clear it away as an orphan.
  static std::atomic<int> trials = 0;
  const std::string dir = data_dir + "/containers/user-namespace-trial-" + std::to_string(++trials);
  TRY(remove_container_root(dir));
  auto work = [&]() -> Result<void> {
    TRY(os::make_dirs(dir + "/layer", 0755));
    TRY(mount_container_root({dir + "/layer"}, dir, {}, Writes::passing, os::fd_path(user.get())));
    const struct stat info = TRY(os::stat_file(dir + "/rootfs"));
    if (info.st_uid == first && info.st_gid == first) return {};
    return fail(Code::unsupported,
                "an overlay of id-mapped layers shows owner " + std::to_string(info.st_uid) + " for " + std::to_string(first));
  };
  auto done = within(dir, work());
  auto removed = remove_container_root(dir);
  return done ? removed : done;
}

}  // namespace estiba::image
