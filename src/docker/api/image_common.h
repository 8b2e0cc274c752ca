// What the files of the image API share, and others that show or use images.
#pragma once
#include <string>
#include <vector>

#include "docker/filters.h"
#include "docker/image_delete.h"
#include "docker/router.h"
#include "image/manifest.h"

namespace estiba::docker {

class Containers;

struct ImageListQuery {
  bool shared_size = false;       ///< SharedSize is computed
  bool count_containers = false;  ///< and Containers, from `holders`
  int minor = newest_minor;
  Filters filters;
  WallTime now{};
  std::vector<ImageHolder> holders;
};
/// The JSON array of GET /images/json and of /system/df. Blocking.
Result<std::string> list_images(image::Store& store, const ImageListQuery& query);

std::vector<ImageHolder> image_holders(const Containers& containers);
/// An event of type "image". `config` may be null: without labels.
void publish_image(Daemon& daemon, std::string action, std::string id, std::string name, const image::Config* config);

}  // namespace estiba::docker
