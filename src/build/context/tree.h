// What COPY and ADD copy from: a tree of files by path, whose symlinks resolve inside the tree and never anywhere else. The build
// context is an index of what the client sent or offered (context_tree.h); other stages and images are stacks of layers (layered_tree.h).
//
// Paths are relative to the tree's root and clean (ignore.h, clean_path); "" is the root.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace estiba::build {

struct FileInfo {
  enum class Type : unsigned char { file, directory, symlink, fifo, character, block };
  Type type = Type::file;
  uint32_t mode = 0;  ///< permission bits with setuid, setgid and sticky
  uint32_t uid = 0, gid = 0;
  uint64_t size = 0;
  int64_t mtime = 0;
  uint32_t mtime_ns = 0;
  uint32_t major = 0, minor = 0;
  std::string link;  ///< target of a symlink
  std::vector<std::pair<std::string, std::string>> xattrs;
};

/// May be used by several threads at a time.
class Tree {
 public:
  virtual ~Tree() = default;
  /// What is at `path`, where directories on the way may not be symlinks; nullopt when there is nothing.
  virtual Result<std::optional<FileInfo>> look(const std::string& path) const = 0;
  /// Names in a directory, sorted.
  virtual Result<std::vector<std::string>> list(const std::string& path) const = 0;
  /// Digest of a regular file's content, "sha256:…".
  virtual Result<std::string> digest(const std::string& path) const = 0;
  /// Writes a regular file's content to `fd`, which is empty.
  virtual Result<void> copy_content(const std::string& path, int fd) const = 0;
  /// At most `limit` bytes of a regular file.
  virtual Result<std::string> read(const std::string& path, uint64_t limit) const = 0;
  /// The first bytes of a regular file, at most `size`.
  virtual Result<std::string> read_head(const std::string& path, size_t size) const = 0;

  /// Makes `target`, a new name, a file with the content of `path` without copying it, when the tree can part with it; else false: copy it.
  virtual bool give_content(const std::string& path, const std::string& target) const {
    (void)path, (void)target;
    return false;
  }

  /// `path` with all symlinks resolved as if the tree were "/"; the last part too with `follow_last`. What does not exist stays as it is
  /// written. Malformed: symlinks in a circle.
  Result<std::string> resolve(std::string_view path, bool follow_last) const;
};

/// Copies `size` bytes (or to the end) from `from` at `offset` to `to`: by reflink or within the kernel where that works.
Result<void> copy_bytes(int from, uint64_t offset, uint64_t size, int to);

}  // namespace estiba::build
