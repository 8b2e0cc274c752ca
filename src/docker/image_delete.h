// Taking images away as dockerd does: names first, the image with the last of them, and what may not go yet.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "image/store.h"

namespace estiba::docker {

/// A container of the daemon, as far as images are concerned.
struct ImageHolder {
  std::string id, image_id;
  bool running = false;
};

struct ImageDeletion {
  std::string image_id;
  std::vector<std::string> untagged;  ///< as people write them
  std::vector<std::string> deleted;   ///< the image's id and its layers' ChainIDs
  uint64_t freed = 0;
  bool collected = true;  ///< false: content was being added meanwhile; the disk comes back with the next collection
};

/// `docker rmi name`. Conflicts have dockerd's sentences. Blocking.
Result<ImageDeletion> delete_image(image::Store& store, std::string_view name, bool force, const std::vector<ImageHolder>& holders);

/// `docker image prune`: images that no container uses and that `chosen` takes; those with names only with `all`. Blocking.
Result<std::vector<ImageDeletion>> prune_images(image::Store& store, bool all, const std::function<bool(const image::Config&)>& chosen,
                                                const std::vector<ImageHolder>& holders);

}  // namespace estiba::docker
