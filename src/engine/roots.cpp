#include "engine/roots.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/strings.h"
#include "engine/files.h"
#include "image/mount_points.h"
#include "image/overlay.h"

namespace estiba::engine {

namespace {
constexpr std::string_view passing_mark = "passing";

bool is_mounted(const std::string& dir) {
  struct stat outside{}, inside{};
  return ::stat(dir.c_str(), &outside) == 0 && ::stat((dir + "/rootfs").c_str(), &inside) == 0 && outside.st_dev != inside.st_dev;
}
}  // namespace

std::shared_ptr<Roots::Use> Roots::use(const std::string& id) {
  std::lock_guard lock(mutex_);
  auto& slot = uses_[id];
  if (!slot) slot = std::make_shared<Use>();
  return slot;
}

void Roots::forget(const std::string& id) {
  std::lock_guard lock(mutex_);
  auto it = uses_.find(id);
  // Two: the map's and the caller's. Nobody else is about to use it.
  if (it != uses_.end() && it->second.use_count() <= 2 && it->second->users <= 0) uses_.erase(it);
}

bool Roots::kept(const std::string& id) const { return ::access((paths_.container(id) + "/keep").c_str(), F_OK) == 0; }

Result<std::string> Roots::image(const std::string& id) const {
  auto text = read_file(paths_.container(id) + "/image");
  if (!text && text.error().code == Code::not_found) return fail(Code::not_found, "there is no root of container " + id);
  return std::string(trim(TRY(std::move(text))));
}

Result<std::vector<std::string>> Roots::layers(const image::Config& config, const std::string& id) const {
  // A start that was cut short left an orphan there, which the next recovery removes.
  return image::with_mount_points(store_->layer_paths(config), paths_.container("mount-points-" + id));
}

Result<void> Roots::make(const std::string& id, const std::string& image_name, bool passing) {
  if (id.empty() || id.find('/') != std::string::npos || id[0] == '.')
    return fail(Code::invalid, "container id " + quoted(id) + " is no id");
  const std::string dir = paths_.container(id);
  auto used = use(id);
  std::lock_guard lock(used->mutex);
  if (::access(dir.c_str(), F_OK) == 0) return fail(Code::already_exists, "container " + id + " has a root already");
  auto work = [&]() -> Result<void> {
    if (passing && TRY(make_of_spare(id, image_name, *used))) return {};
    image::Record record = TRY(store_->use(id, image_name));
    auto config = TRY(store_->config(record.id));
    TRY_AS("image " + image_name, store_->unpack_layers(TRY(store_->manifest(record)), *config));
    TRY(image::make_container_root(TRY(layers(*config, id)), dir));
    return write_file(dir + "/keep", passing ? passing_mark : "");
  };
  auto done = work();
  if (!done) (void)image::remove_container_root(dir);
  used->unused = done && !used->fresh;
  return done;
}

Result<bool> Roots::make_of_spare(const std::string& id, const std::string& image_name, Use& used) {
  auto record = TRY(store_->find(image_name));
  if (!record) return false;
  used.fresh = spares_.take(id, record->id, TRY(layers(*TRY(store_->config(record->id)), id)));
  if (!used.fresh) return false;
  // Only now is it safe from the collector: look again (see the head of image/store.h).
  if (TRY(store_->find(record->id))) return true;
  used.fresh.reset();
  TRY(image::remove_container_root(paths_.container(id)));
  return false;
}

Result<std::string> Roots::hold(const std::string& id) {
  auto used = use(id);
  std::lock_guard lock(used->mutex);
  if (used->fresh) {
    ++used->users;
    return paths_.container(id) + "/rootfs";
  }
  auto keep = read_file(paths_.container(id) + "/keep");
  if (!keep) return fail(Code::not_found, "there is no root of container " + id);
  const auto writes = *keep == passing_mark ? image::Writes::passing : image::Writes::durable;
  const std::string dir = paths_.container(id), image_id = TRY(image(id));
  const auto below = TRY(layers(*TRY(store_->config(image_id)), id));
  const bool fresh = std::exchange(used->unused, false) && writes == image::Writes::passing && !is_mounted(dir);
  auto root = TRY(image::mount_container_root(below, dir, {}, writes));
  if (fresh) used->fresh = TRY(FreshRoot::of(dir, image_id, below));
  ++used->users;
  return root;
}

void Roots::release(const std::string& id) {
  auto used = use(id);
  bool idle = false;
  {
    std::lock_guard lock(used->mutex);
    if (used->users > 0) --used->users;
    idle = used->users == 0 && !used->fresh;
  }
  if (idle) finish_later(id);
}

void Roots::adopt(const std::string& id) {
  auto used = use(id);
  std::lock_guard lock(used->mutex);
  ++used->users;
}

Result<void> Roots::remove(const std::string& id, bool unshared) {
  auto used = use(id);
  {
    std::lock_guard lock(used->mutex);
    if (used->users > 0) return fail(Code::conflict, "the root of container " + id + " is in use");
    const auto fresh = std::exchange(used->fresh, std::nullopt);
    const bool spared = unshared && fresh && spares_.put(id, *fresh);
    if (!spared && kept(id)) TRY(discard(id));
  }
  forget(id);
  return {};
}

Result<void> Roots::discard(const std::string& id) {
  const std::string from = paths_.container(id);
  if (::access(from.c_str(), F_OK) != 0) return {};
  TRY(make_dirs(removed_dir(), 0700));
  // One of the same id may still be there.
  if (::rename(from.c_str(), (removed_dir() + "/" + id).c_str()) != 0) return image::remove_container_root(from);
  finish_later(id);
  return {};
}

Result<std::string> Roots::mount_image(const std::string& id, size_t place, const std::string& image_name, const std::string& users) {
  const std::string own = id + std::string(image_mark) + std::to_string(place);
  auto used = use(own);
  std::lock_guard lock(used->mutex);
  image::Record record = TRY(store_->use(own, image_name));
  auto config = TRY(store_->config(record.id));
  TRY_AS("image " + image_name, store_->unpack_layers(TRY(store_->manifest(record)), *config));
  return image::mount_content(store_->layer_paths(*config), paths_.container(own), users);
}

Result<void> Roots::discard_images(const std::string& id) {
  const std::string base = id + std::string(image_mark);
  size_t count = 0;
  while (::access(paths_.container(base + std::to_string(count)).c_str(), F_OK) == 0) ++count;
  // From the last: what an interruption leaves is found again.
  while (count > 0) TRY(discard(base + std::to_string(--count)));
  return {};
}

void Roots::finish_later(const std::string& id) {
  {
    std::lock_guard lock(mutex_);
    unfinished_.push_back(id);
  }
  later_([self = shared_from_this()] { self->work_off(); });
}

void Roots::work_off() {
  for (;;) {
    std::string id;
    {
      std::lock_guard lock(mutex_);
      if (unfinished_.empty()) return;
      id = std::move(unfinished_.back());
      unfinished_.pop_back();
    }
    finish(id);
  }
}

void Roots::finish(const std::string& id) {
  Result<void> done;
  auto used = use(id);
  {
    std::lock_guard lock(used->mutex);
    if (used->users == 0) done = image::unmount_container_root(paths_.container(id));
  }
  forget(id);
  if (auto deleted = image::remove_container_root(removed_dir() + "/" + id); !deleted) done = std::move(deleted);
  if (!done)
    log::warn("engine", "what is left of a container's root stays until the next start", {{"container", id}, {"error", done.error()}});
}

void Roots::settle() {
  work_off();
  spares_.drop();
  auto left = list_names(removed_dir());
  if (!left) return;
  for (const auto& id : *left) finish(id);
  (void)::rmdir(removed_dir().c_str());
}

Result<std::vector<std::string>> Roots::list() const {
  std::vector<std::string> out;
  for (auto& id : TRY(list_names(paths_.data_dir + "/containers")))
    if (kept(id)) out.push_back(std::move(id));
  return out;
}

}  // namespace estiba::engine
