// Read access to the files of an image archive by name, for directories and tars alike. A compressed tar, or one from a
// pipe, is first written to an unnamed temporary file.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"
#include "image/stream.h"
#include "image/tar.h"

namespace estiba::image {

class ArchiveFiles {
 public:
  static Result<ArchiveFiles> directory(const std::string& path);
  /// `file` is a seekable, uncompressed tar.
  static Result<ArchiveFiles> tar(Fd file, TarLimits limits);

  bool has(const std::string& name) const;
  /// The source refers to this object.
  Result<std::unique_ptr<Source>> open(const std::string& name) const;
  Result<std::string> read(const std::string& name, uint64_t limit = 8 << 20) const;

 private:
  struct Extent {
    uint64_t offset = 0, size = 0;
    std::string link;  // of a symlink: `docker save` once shared layers by them
  };
  Result<const Extent*> find(std::string name) const;
  Fd fd_;
  bool is_directory_ = false;
  std::map<std::string, Extent, std::less<>> extents_;
};

}  // namespace estiba::image
