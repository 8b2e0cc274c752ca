// Files of a container by their path inside of it. Everything is resolved by openat2(2) with RESOLVE_IN_ROOT, so that no
// symlink that a container makes, before or during the call, leads out of its root.
#pragma once
#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace estiba::docker {

/// A volume or bind mount, for the view of a container that does not run.
struct RootedMount {
  std::string source;       ///< on the host
  std::string destination;  ///< in the container
  bool readonly = false;
};

/// A container's root, with what is mounted in it.
class RootView {
 public:
  /// Of a running container, by its first process.
  static Result<RootView> running(int pid);
  /// Of one that does not run: its mounted root, with `mounts` put in place in a namespace that only this view has. A destination that is
  /// not there is made, as a start would.
  static Result<RootView> stopped(const std::string& root, std::vector<RootedMount> mounts);
  int fd() const { return root_.get(); }
  /// Moves this thread, for good, to where the view's mounts are: for writing, because elsewhere a file that something is mounted on can be
  /// removed, and the mount with it. Afterwards only use fd(): all other paths are the container's.
  Result<void> enter() const;

 private:
  Fd namespace_, root_;
};

/// A path as Docker's archive calls take it: all but the last part is resolved; with "/" or "/." at the end, that part is as well.
struct PathParts {
  std::string directory;  ///< "/etc/", always with a slash at both ends
  std::string base;       ///< "passwd"; "" or "." when the path ends so
  std::string name;       ///< what the member of an archive is called: "passwd", "." for "/etc/.", "/" for the root
};
PathParts take_path_apart(std::string_view path);

struct PathStat {
  std::string name;
  int64_t size = 0;
  uint32_t mode = 0;        ///< as Go's os.FileMode counts
  std::string mtime;        ///< RFC 3339
  std::string link_target;  ///< of a symlink: the absolute path in the container where it leads
  std::string json() const;
};
/// not_found when there is nothing at `path`, without the sentence for the user. Code::invalid where a part of it is no directory.
Result<PathStat> stat_in_root(int root, std::string_view path);
/// Opens it (O_PATH | O_NOFOLLOW) as take_path_apart() says.
Result<Fd> open_path(int root, const PathParts& parts);
/// Where `path` leads inside `root`, all symlinks followed, as far as it exists: "/usr/bin/vi".
std::string real_path(int root, std::string_view path);

/// os.FileMode of st_mode.
uint32_t go_mode(mode_t mode);

}  // namespace estiba::docker
