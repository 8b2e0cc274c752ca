// The build cache: what an instruction made, by a key of everything that it depends on. It outlives the daemon.
//
//   <data-dir>/build/cache     one record a line, fields separated by tabs; the last of a key counts:
//     layer KEY CREATED USED CHAIN DIFF DIGEST SIZE MEDIA    an instruction that made a layer (CREATED, USED: seconds)
//     empty KEY CREATED USED                                  one that changed no file
//     memo KEY CREATED USED VALUE                             a digest that is dear to make again
//     mount KEY CREATED USED DESCRIPTION                      RUN --mount=type=cache: the directory KEY of <data-dir>/build/mounts
//   <data-dir>/images/pins/build-cache                        keeps the layers from the collector (image/store.h)
#pragma once
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "image/commit.h"

namespace estiba::build {

struct CacheEntry {
  int64_t created = 0, used = 0;  ///< seconds since the epoch
  std::optional<image::MadeLayer> layer;
  std::string value;  ///< of a memo; what a mount is for
  bool mount = false;
};

/// What of the cache is to go: what fits all of it.
struct PruneRequest {
  bool all = false;                     ///< also what images have
  int64_t before = INT64_MAX;           ///< last used before that, in seconds
  std::vector<std::string> ids, types;  ///< beginnings of keys; "regular", "exec.cachemount"; empty: any
  uint64_t keep_bytes = 0;              ///< what was used last stays, as far as that
};

/// Safe for several threads.
class Cache {
 public:
  Cache(std::string directory, image::Store& store) : path_(directory + "/cache"), store_(store) {}
  /// Reads the file; what cannot be read is left out. Blocking.
  Result<void> load();

  /// What is known of a key, if its layer is still there; it counts as used at `now`.
  std::optional<CacheEntry> find(const std::string& key, int64_t now);
  /// In memory, until save().
  void put(const std::string& key, CacheEntry entry);
  /// Writes the file and the pins, if anything has changed. Blocking.
  Result<void> save();
  /// Notes the use of a cache mount.
  void use_mount(const std::string& key, std::string description, int64_t now);

  struct Pruned {
    std::vector<std::string> keys;    ///< of all but memos
    std::vector<std::string> mounts;  ///< those of them whose directories are to go
    uint64_t bytes = 0;
  };
  /// What stands in the way of pruning, and what things take.
  struct Kept {
    std::set<std::string, std::less<>> image_chains;           ///< layers of images
    std::set<std::string, std::less<>> busy_mounts;            ///< by key
    std::map<std::string, uint64_t, std::less<>> mount_bytes;  ///< of all that are there
  };
  /// Forgets, in memory until save().
  Pruned prune(const PruneRequest& request, const Kept& kept);
  std::vector<std::pair<std::string, CacheEntry>> list() const;

 private:
  Result<void> pin() const;
  static bool fits(const std::string& key, const CacheEntry& entry, const PruneRequest& request, const Kept& kept);
  static std::string line(const std::string& key, const CacheEntry& entry);
  void take(std::string_view line);

  std::string path_;
  image::Store& store_;
  mutable std::mutex mutex_;
  std::map<std::string, CacheEntry, std::less<>> entries_;  // guarded by mutex_
  bool dirty_ = false, layers_changed_ = false;             // guarded by mutex_
};

/// A key made of parts; the same parts in the same order give the same key.
std::string cache_key(const std::vector<std::string_view>& parts);

}  // namespace estiba::build
