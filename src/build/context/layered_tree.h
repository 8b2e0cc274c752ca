// Unpacked layers seen as one tree, as overlayfs would show them (whiteouts, opaque directories), without mounting anything: what a
// builder reads of an image stays readable when it is killed, and leaves no mount behind.
#pragma once
#include <sys/stat.h>

#include "base/fd.h"

#include "build/context/tree.h"

namespace estiba::build {

class LayeredTree final : public Tree {
 public:
  /// Directories of layers, lowest first. They must not change, but for the last when it is the caller's.
  explicit LayeredTree(std::vector<std::string> layers) : layers_(std::move(layers)) {}

  Result<std::optional<FileInfo>> look(const std::string& path) const override;
  Result<std::vector<std::string>> list(const std::string& path) const override;
  Result<std::string> digest(const std::string& path) const override;
  Result<void> copy_content(const std::string& path, int fd) const override;
  Result<std::string> read(const std::string& path, uint64_t limit) const override;
  Result<std::string> read_head(const std::string& path, size_t size) const override;

  /// Where `path` really is: "/…/layers/x/fs/etc/passwd"; of a directory, the uppermost. Empty when there is nothing.
  Result<std::string> real_path(const std::string& path) const;
  const std::vector<std::string>& layers() const { return layers_; }

 private:
  struct Found {
    std::vector<std::string> places;  // uppermost first; more than one only for directories
    struct stat st = {};
  };
  Result<std::optional<Found>> find(std::string_view path) const;
  Result<Fd> open(const std::string& path, uint64_t& size) const;
  std::vector<std::string> layers_;
};

/// FileInfo of a real file, with its extended attributes but for overlayfs's own. Symlinks are not followed.
Result<FileInfo> file_info(const std::string& real_path, const struct stat& st);
/// A character device 0:0 is how overlayfs notes that a name is gone.
bool is_whiteout(const struct stat& st);

}  // namespace estiba::build
