// The build cache: what an instruction made, by a key of everything that it depends on. It outlives the daemon.
//
//   <data-dir>/build/cache     one record a line, fields separated by tabs; the last of a key counts:
//     layer KEY CREATED USED CHAIN DIFF DIGEST SIZE MEDIA    an instruction that made a layer (CREATED, USED: seconds)
//     empty KEY CREATED USED                                  one that changed no file
//     memo KEY CREATED USED VALUE                             a digest that is dear to make again
//   <data-dir>/images/pins/build-cache                        keeps the layers from the collector (image/store.h)
#pragma once
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "image/commit.h"

namespace estiba::build {

struct CacheEntry {
  int64_t created = 0, used = 0;  ///< seconds since the epoch
  std::optional<image::MadeLayer> layer;
  std::string value;  ///< of a memo
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
  /// Forgets what was last used before `before` (seconds). Returns how many bytes of layers that were, and the keys.
  struct Pruned {
    std::vector<std::string> keys;
    uint64_t bytes = 0;
  };
  Result<Pruned> prune(int64_t before);
  std::vector<std::pair<std::string, CacheEntry>> list() const;

 private:
  Result<void> pin() const;
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
