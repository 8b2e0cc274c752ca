#include "image/mount_points.h"

#include <fcntl.h>

#include "image/overlay.h"
#include "os/file.h"

namespace estiba::image {

namespace {

// What cannot be made (an image whose /etc is a file) is left to whoever mounts there, who says why it fails.
void make_points(int root) {
  for (const char* directory : {"/dev", "/proc", "/sys"}) (void)os::make_dirs_in_root(root, directory);
  for (const char* file : {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}) (void)os::make_file_in_root(root, file);
}

Result<void> make_layer(const std::vector<std::string>& layers, const std::string& workshop, const std::string& place) {
  auto work = [&]() -> Result<void> {
    const std::string root = TRY(mount_container_root(layers, workshop, {}, Writes::passing));
    {
      os::Fd fd = TRY(os::open_file(root, O_PATH | O_DIRECTORY));
      make_points(fd.get());
    }
    TRY(unmount_container_root(workshop));
    auto moved = os::rename_file(workshop + "/upper", place);
    // Somebody else was quicker.
    if (!moved && os::exists(place)) return {};
    return moved;
  };
  auto done = work();
  auto cleaned = remove_container_root(workshop);
  return done ? cleaned : done;
}

}  // namespace

Result<std::vector<std::string>> with_mount_points(std::vector<std::string> layers, const std::string& workshop) {
  if (layers.empty()) return layers;
  const std::string& top = layers.back();
  std::string place = top.substr(0, top.rfind('/')) + "/mount-points";
  if (!os::exists(place)) TRY_AS("layer of mount points", make_layer(layers, workshop, place));
  layers.push_back(std::move(place));
  return layers;
}

}  // namespace estiba::image
