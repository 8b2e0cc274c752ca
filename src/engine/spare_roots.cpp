#include "engine/spare_roots.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/log.h"
#include "base/strings.h"
#include "engine/files.h"
#include "image/overlay.h"

namespace estiba::engine {

namespace {

constexpr size_t most_spares = 16;

Result<FreshRoot::Look> look_at(const std::string& upper) {
  struct stat info;
  if (::lstat(upper.c_str(), &info) != 0) return fail_errno("lstat " + upper);
  FreshRoot::Look look{.mode = info.st_mode,
                       .uid = info.st_uid,
                       .gid = info.st_gid,
                       .changed_ns = int64_t(info.st_ctim.tv_sec) * 1'000'000'000 + info.st_ctim.tv_nsec,
                       .modified_ns = int64_t(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec};
  char names[1024];
  const ssize_t n = ::llistxattr(upper.c_str(), names, sizeof names);
  if (n < 0) return fail_errno("llistxattr " + upper);
  look.attributes.assign(names, size_t(n));
  return look;
}

std::vector<uint64_t> inodes_of(const std::vector<std::string>& layers) {
  std::vector<uint64_t> out;
  for (const auto& layer : layers) {
    struct stat info{};
    (void)::stat(layer.c_str(), &info);
    out.push_back(info.st_ino);
  }
  return out;
}

}  // namespace

Result<FreshRoot> FreshRoot::of(const std::string& dir, std::string image, const std::vector<std::string>& layers) {
  return FreshRoot{.look = TRY(look_at(dir + "/upper")), .image = std::move(image), .below = inodes_of(layers)};
}

bool SpareRoots::put(const std::string& id, const FreshRoot& fresh) {
  const std::string dir = paths_.container(id);
  auto look = look_at(dir + "/upper");
  if (!look || *look != fresh.look) return false;
  // Two changes within one tick of an old kernel's clock may leave the same times behind; an entry they do not hide.
  auto written = list_names(dir + "/upper");
  auto names = list_names(dir);
  if (!written || !written->empty() || !names) return false;
  for (const auto& name : *names) {
    if (name == "upper" || name == "work" || name == "rootfs" || name == "image" || name == "keep") continue;
    if (!delete_file(dir + "/" + name)) return false;  // a log
  }
  Spare spare{hex_encode(random_bytes(8)), fresh};
  std::string oldest;
  {
    std::lock_guard lock(mutex_);
    if (spares_.empty() && !make_dirs(place(), 0700)) return false;
    if (::rename(dir.c_str(), place(spare.name).c_str()) != 0) return false;
    spares_.push_back(std::move(spare));
    if (spares_.size() > most_spares) {
      oldest = std::move(spares_.front().name);
      spares_.erase(spares_.begin());
    }
  }
  if (!oldest.empty()) remove(oldest);
  return true;
}

std::optional<FreshRoot> SpareRoots::take(const std::string& id, const std::string& image, const std::vector<std::string>& layers) {
  std::unique_lock lock(mutex_);
  // The latest: its inodes are likelier in the caches.
  auto found = std::find_if(spares_.rbegin(), spares_.rend(), [&](const Spare& spare) { return spare.fresh.image == image; });
  if (found == spares_.rend()) return std::nullopt;
  Spare spare = std::move(*found);
  spares_.erase(std::next(found).base());
  lock.unlock();
  if (spare.fresh.below == inodes_of(layers) && ::rename(place(spare.name).c_str(), paths_.container(id).c_str()) == 0)
    return std::move(spare.fresh);
  remove(spare.name);
  return std::nullopt;
}

void SpareRoots::remove(const std::string& name) {
  if (auto done = image::remove_container_root(place(name)); !done)
    log::warn("engine", "a spare root stays until the next start", {{"path", place(name)}, {"error", done.error()}});
}

void SpareRoots::drop() {
  std::vector<std::string> names;
  {
    std::lock_guard lock(mutex_);
    for (auto& spare : spares_) names.push_back(std::move(spare.name));
    spares_.clear();
    if (!std::exchange(swept_, true))
      if (auto left = list_names(place())) names = std::move(*left);
  }
  for (const auto& name : names) remove(name);
  (void)::rmdir(place().c_str());
}

}  // namespace estiba::engine
