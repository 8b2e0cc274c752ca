#include "build/context/digest_cache.h"

#include "base/strings.h"
#include "image/digest.h"

namespace estiba::build {
namespace {

constexpr int64_t second = 1'000'000'000;

int64_t nanoseconds(const timespec& time) { return int64_t(time.tv_sec) * second + time.tv_nsec; }

}  // namespace

FileIdentity identity_of(const struct stat& st) {
  return {st.st_dev, st.st_ino, uint64_t(st.st_size), nanoseconds(st.st_mtim), nanoseconds(st.st_ctim)};
}

bool is_fresh(const FileIdentity& file, int64_t now_ns) { return std::max(file.mtime_ns, file.ctime_ns) > now_ns - 2 * second; }

std::optional<std::string> DigestCache::find(const FileIdentity& file) {
  std::lock_guard lock(mutex_);
  const Key key{file.device, file.inode};
  auto it = recent_.find(key);
  if (it == recent_.end()) {
    it = older_.find(key);
    if (it == older_.end()) return std::nullopt;
    const Known known = it->second;
    older_.erase(it);
    insert(key, known);
    it = recent_.find(key);
  }
  const Known& known = it->second;
  if (known.size != file.size || known.mtime_ns != file.mtime_ns || known.ctime_ns != file.ctime_ns) return std::nullopt;
  return "sha256:" + hex_encode({known.sha256.data(), known.sha256.size()});
}

void DigestCache::put(const FileIdentity& file, const std::string& digest) {
  Known known{file.size, file.mtime_ns, file.ctime_ns, {}};
  const std::string_view hex = image::hex_of(digest);
  for (size_t i = 0; i < known.sha256.size(); ++i) known.sha256[i] = char(parse_number<uint8_t>(hex.substr(2 * i, 2), 16).value_or(0));
  std::lock_guard lock(mutex_);
  insert({file.device, file.inode}, known);
}

void DigestCache::insert(const Key& key, const Known& known) {
  if (recent_.size() >= capacity_) {
    older_ = std::move(recent_);
    recent_ = {};
  }
  recent_.insert_or_assign(key, known);
}

}  // namespace estiba::build
