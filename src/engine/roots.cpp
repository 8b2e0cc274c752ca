#include "engine/roots.h"

#include <unistd.h>

#include "base/strings.h"
#include "engine/files.h"
#include "image/overlay.h"

namespace estiba::engine {

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

Result<void> Roots::make(const std::string& id, const std::string& image_name) {
  if (id.empty() || id.find('/') != std::string::npos || id[0] == '.')
    return fail(Code::invalid, "container id " + quoted(id) + " is no id");
  const std::string dir = paths_.container(id);
  auto used = use(id);
  std::lock_guard lock(used->mutex);
  if (::access(dir.c_str(), F_OK) == 0) return fail(Code::already_exists, "container " + id + " has a root already");
  auto work = [&]() -> Result<void> {
    image::Record record = TRY(store_->use(id, image_name));
    auto config = TRY(store_->config(record.id));
    TRY_AS("image " + image_name, store_->unpack_layers(TRY(store_->manifest(record)), *config));
    TRY(image::make_container_root(store_->layer_paths(*config), dir));
    return write_file(dir + "/keep", "");
  };
  auto done = work();
  if (!done) (void)image::remove_container_root(dir);
  return done;
}

Result<std::string> Roots::hold(const std::string& id) {
  auto used = use(id);
  std::lock_guard lock(used->mutex);
  if (!kept(id)) return fail(Code::not_found, "there is no root of container " + id);
  auto config = TRY(store_->config(TRY(image(id))));
  auto root = TRY(image::mount_container_root(store_->layer_paths(*config), paths_.container(id)));
  ++used->users;
  return root;
}

Result<void> Roots::release(const std::string& id) {
  auto used = use(id);
  Result<void> done;
  {
    std::lock_guard lock(used->mutex);
    if (used->users > 0) --used->users;
    if (used->users == 0) done = image::unmount_container_root(paths_.container(id));
  }
  forget(id);
  return done;
}

void Roots::adopt(const std::string& id) {
  auto used = use(id);
  std::lock_guard lock(used->mutex);
  ++used->users;
}

Result<void> Roots::remove(const std::string& id) {
  auto used = use(id);
  Result<void> done;
  {
    std::lock_guard lock(used->mutex);
    if (used->users > 0) return fail(Code::conflict, "the root of container " + id + " is in use");
    if (kept(id)) done = image::remove_container_root(paths_.container(id));
  }
  forget(id);
  return done;
}

Result<std::vector<std::string>> Roots::list() const {
  std::vector<std::string> out;
  for (auto& id : TRY(list_names(paths_.data_dir + "/containers")))
    if (kept(id)) out.push_back(std::move(id));
  return out;
}

}  // namespace estiba::engine
