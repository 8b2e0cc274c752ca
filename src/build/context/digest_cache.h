// Digests of files in context directories, so that a tree that is built from again is not read again. In memory: an engine that was
// started anew reads once more.
//
// A file counts as the same while its device, inode, size, mtime and ctime are: a change that keeps the size and puts the mtime back
// still has another ctime. What was changed just before it was looked at could change again within the clock's grain, so that it is not
// remembered (git's rule for "racily clean" files).
#pragma once
#include <sys/stat.h>

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace estiba::build {

/// What tells whether a file has changed.
struct FileIdentity {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t mtime_ns = 0, ctime_ns = 0;
  bool operator==(const FileIdentity&) const = default;
};
FileIdentity identity_of(const struct stat& st);
/// Whether the file changed less than two seconds (the grain of the coarsest file systems) before `now_ns`, or after it.
bool is_fresh(const FileIdentity& file, int64_t now_ns);

/// Safe for several threads. Forgets what was not asked for longest, in two halves of `capacity` files each.
class DigestCache {
 public:
  explicit DigestCache(size_t capacity = 32 * 1024) : capacity_(capacity) {}
  std::optional<std::string> find(const FileIdentity& file);
  /// `file` as it was before it was read, and not fresh then.
  void put(const FileIdentity& file, const std::string& digest);

 private:
  struct Key {
    uint64_t device, inode;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    size_t operator()(const Key& key) const { return key.inode * 0x9E3779B97F4A7C15u ^ key.device; }
  };
  struct Known {
    uint64_t size;
    int64_t mtime_ns, ctime_ns;
    std::array<char, 32> sha256;
  };
  using Half = std::unordered_map<Key, Known, Hash>;
  void insert(const Key& key, const Known& known);

  const size_t capacity_;
  std::mutex mutex_;
  Half recent_, older_;  // guarded by mutex_
};

}  // namespace estiba::build
