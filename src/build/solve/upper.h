// Writes into a layer that is being made, as if it were the image's root: symlinks of the layers below lead where they would in a
// container, and directories that are only below are made in the new layer with the same owner and mode (what overlayfs does as
// "copy-up"), without mounting anything.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "build/context/layered_tree.h"

namespace estiba::build {

struct Owner {
  uint32_t uid = 0, gid = 0;
};

class Upper {
 public:
  /// `layers` lowest first; `directory` is made when missing. Not for several threads, but for write_file().
  static Result<std::unique_ptr<Upper>> open(std::vector<std::string> layers, std::string directory);

  /// The merged view of all of it.
  const LayeredTree& tree() const { return *tree_; }
  const std::string& path() const { return directory_; }

  /// The directory `path`, through symlinks, made where it is missing with `mode`, `owner` and `mtime`. Returns its resolved path, which is
  /// then a directory of the new layer. Fails where something else is in the way.
  Result<std::string> make_directory(std::string_view path, uint32_t mode, Owner owner, int64_t mtime);
  /// Attributes of a directory of the new layer, applied at the end.
  Result<void> set_directory(const std::string& path, const FileInfo& info);
  /// Makes room for `name` in the resolved directory `parent`: what the new layer has there goes. Refused when a directory is there.
  Result<void> clear_place(const std::string& parent, const std::string& name);
  /// Everything but a directory; the place is clear. `tree` gives a file's content, with `take` the file itself
  /// if it can. Any thread, as long as its directory stays.
  Result<void> write(const std::string& path, const FileInfo& info, const Tree& tree, const std::string& source, bool take) const;
  /// Times of directories, which their contents have changed meanwhile. Call last.
  Result<void> finish();

 private:
  struct Directory {
    bool below = false;  // it is in the layers too, so that its names must be looked for there
    int64_t mtime = 0;
    uint32_t mtime_ns = 0;
  };
  Upper(std::vector<std::string> layers, std::string directory);
  Result<void> bring_up(const std::string& path);
  std::string real(const std::string& path) const { return path.empty() ? directory_ : directory_ + "/" + path; }

  std::string directory_;
  std::unique_ptr<LayeredTree> below_, tree_;
  std::map<std::string, Directory, std::less<>> directories_;  // of the new layer, that are known to be there
};

/// Numbers of "user", "user:group", "1000:1000", looked up in the tree's own /etc/passwd and /etc/group. A user without a group has the
/// one of /etc/passwd, a number without one its own number's, as Docker has it.
Result<Owner> look_up_owner(const Tree& tree, std::string_view text);

}  // namespace estiba::build
