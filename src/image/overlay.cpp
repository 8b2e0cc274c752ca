#include "image/overlay.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "base/fd.h"
#include "base/strings.h"
#include "image/stream.h"
#include "os/file.h"
#include "os/mount.h"
#include "os/namespace.h"
#include "os/user_namespace.h"

namespace estiba::image {
namespace {

// mount(2) takes one page of options, its terminating NUL included.
constexpr size_t option_limit = 4095;

/// Paths in overlay options: ':' separates layers, ',' options; '\' escapes them.
std::string escaped(const std::string& path) {
  std::string out;
  for (char c : path) {
    if (c == ':' || c == ',' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string options_for(const std::vector<std::string>& layers, const std::string& upper, const std::string& work, Writes writes) {
  std::string lower;
  for (auto it = layers.rbegin(); it != layers.rend(); ++it) {  // overlayfs lists the topmost first
    if (!lower.empty()) lower += ':';
    lower += *it;
  }
  // index=off: the same lower layers are under many mounts at a time. The others: an upper directory is to hold all that
  // a layer needs, so that it can become one.
  return "index=off,redirect_dir=off,metacopy=off,lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work +
         (writes == Writes::passing ? ",volatile" : "");
}

std::string options_without_upper(const std::vector<std::string>& layers) {
  return "index=off,redirect_dir=off,metacopy=off,lowerdir=" + join(std::vector<std::string>(layers.rbegin(), layers.rend()), ":");
}

/// Mounts with what `options` makes of the layers' names; of their descriptors, when the names are too long for one page.
Result<void> mount_layers(const std::vector<std::string>& layers, const std::string& target, unsigned long flags,
                          const std::function<std::string(const std::vector<std::string>&)>& options) {
  if (layers.empty()) return fail(Code::invalid, "an overlay at " + target + " needs a layer at least");
  std::vector<std::string> names;
  for (const auto& layer : layers) names.push_back(escaped(layer));
  std::string text = options(names);
  std::vector<Fd> held;
  if (text.size() > option_limit) {
    // Many layers: descriptors have short names, and the kernel looks the names up only once.
    names.clear();
    for (const auto& layer : layers) {
      held.push_back(TRY(os::open_file(layer, O_PATH | O_DIRECTORY)));
      names.push_back(os::fd_path(held.back().get()));
    }
    text = options(names);
    if (text.size() > option_limit)
      return fail(Code::unsupported, std::to_string(layers.size()) + " layers are more than overlayfs can be given");
  }
  return within("mount " + std::to_string(layers.size()) + " layers", os::mount("overlay", target, "overlay", flags, text));
}

/// The layers as a user namespace has them: detached mounts whose owners are those of the namespace.
class MappedLayers {
 public:
  static Result<MappedLayers> of(const std::vector<std::string>& layers, const std::string& users) {
    Fd user = TRY(os::open_namespace(users, CLONE_NEWUSER));
    MappedLayers out;
    for (const auto& layer : layers) {
      out.trees_.push_back(TRY(os::open_tree(AT_FDCWD, layer, true, false)));
      TRY_AS("image layer " + layer, os::map_mount_ids(out.trees_.back().get(), user.get(), false));
    }
    return out;
  }
  MappedLayers(MappedLayers&&) = default;
  ~MappedLayers() {
    for (const auto& place : attached_) {
      (void)os::umount(place, MNT_DETACH | UMOUNT_NOFOLLOW);
      (void)os::remove_dir(place);
    }
    if (!attached_.empty()) (void)os::remove_dir(attached_.front().substr(0, attached_.front().rfind('/')));
  }

  Result<struct stat> top() const { return os::fstat_file(trees_.back().get()); }

  /// `mount` is given names of them for the time of its call. Before Linux 6.15 overlayfs takes only what is mounted somewhere
  /// (clone_private_mount() in fs/namespace.c): then that is below `dir`, until this ends.
  Result<void> mounted(const std::string& dir, const std::function<Result<void>(const std::vector<std::string>&)>& mount) {
    std::vector<std::string> names;
    for (const auto& tree : trees_) names.push_back(os::fd_path(tree.get()));
    auto done = mount(names);
    if (done || done.error().sys != EINVAL) return done;
    names.clear();
    for (size_t i = 0; i < trees_.size(); i++) {
      const std::string place = dir + "/lower/" + std::to_string(i);
      TRY(os::make_dirs(place, 0700));
      Fd target = TRY(os::open_file(place, O_PATH | O_DIRECTORY));
      TRY(os::move_mount(trees_[i].get(), target.get()));
      attached_.push_back(place);
      names.push_back(place);
    }
    done = mount(names);
    if (!done && done.error().sys == EINVAL) {
      done = fail(Code::unsupported, "overlayfs of this kernel takes no id-mapped layers: Linux 5.19 is needed");
    }
    return done;
  }

 private:
  MappedLayers() = default;
  std::vector<Fd> trees_;
  std::vector<std::string> attached_;
};

/// The directories of a container's root; `owner` tells the one of its topmost layer.
Result<void> make_directories(const std::string& dir, const std::string& top, const std::function<Result<struct stat>()>& owner) {
  TRY(os::make_dirs(dir, 0700));
  const bool fresh = !os::exists(top);
  TRY(os::make_dirs(top, 0755));
  TRY(os::make_dir(dir + "/work", 0700));
  TRY(os::make_dir(dir + "/rootfs", 0755));
  if (!fresh || !owner) return {};
  // The root directory's owner and mode are those of the topmost layer, as every other directory's.
  auto info = TRY(owner());
  TRY(os::change_owner(top, info.st_uid, info.st_gid));
  return os::change_mode(top, info.st_mode & 07777);
}

}  // namespace

Result<void> mount_overlay(const std::vector<std::string>& layers, const std::string& upper, const std::string& work,
                           const std::string& target, Writes writes) {
  // The mark of an earlier passing mount, which the kernel takes for a sign of lost writes: while the machine runs there are none.
  if (writes == Writes::passing) TRY(os::remove_all(work + "/work/incompat"));
  auto mount = [&](Writes kind) {
    return mount_layers(layers, target, 0,
                        [&](const std::vector<std::string>& names) { return options_for(names, escaped(upper), escaped(work), kind); });
  };
  auto done = mount(writes);
  // Before Linux 5.10 overlayfs knows no "volatile": it is slower to unmount then, and nothing else.
  if (!done && done.error().sys == EINVAL && writes == Writes::passing) return mount(Writes::durable);
  return done;
}

Result<std::string> mount_content(const std::vector<std::string>& layers, const std::string& dir, const std::string& users) {
  std::string root = dir + "/rootfs";
  TRY(os::make_dirs(root, 0755));
  if (TRY(os::is_mount_point(root))) return root;
  std::vector<std::string> below{dir + "/empty"};  // without a writable layer the kernel wants two
  TRY(os::make_dir(below.back(), 0755));
  below.insert(below.end(), layers.begin(), layers.end());
  auto mount = [&](const std::vector<std::string>& names) {
    return mount_layers(names, root, MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, options_without_upper);
  };
  if (users.empty()) TRY(mount(below));
  else TRY(TRY(MappedLayers::of(below, users)).mounted(dir, mount));
  return root;
}

Result<void> make_container_root(const std::vector<std::string>& layers, const std::string& dir, const std::string& upper) {
  std::function<Result<struct stat>()> owner;
  if (!layers.empty()) owner = [&] { return os::stat_file(layers.back()); };
  return make_directories(dir, upper.empty() ? dir + "/upper" : upper, owner);
}

Result<std::string> mount_container_root(const std::vector<std::string>& layers, const std::string& dir, const std::string& upper,
                                         Writes writes, const std::string& users) {
  std::string root = dir + "/rootfs";
  const std::string top = upper.empty() ? dir + "/upper" : upper;
  if (users.empty()) TRY(make_container_root(layers, dir, upper));
  else TRY(make_directories(dir, top, {}));
  if (TRY(os::is_mount_point(root))) return root;
  std::vector<std::string> below = layers;
  if (below.empty()) {
    below.push_back(dir + "/empty");
    TRY(os::make_dir(below.back(), 0755));
  }
  auto mount = [&](const std::vector<std::string>& names) { return mount_overlay(names, top, dir + "/work", root, writes); };
  if (users.empty()) {
    TRY(mount(below));
    return root;
  }
  MappedLayers mapped = TRY(MappedLayers::of(below, users));
  const struct stat info = TRY(mapped.top());
  TRY(os::change_owner(top, info.st_uid, info.st_gid));
  TRY(os::change_mode(top, info.st_mode & 07777));
  TRY(mapped.mounted(dir, mount));
  return root;
}

Result<void> unmount_container_root(const std::string& dir) {
  auto done = os::umount(dir + "/rootfs", MNT_DETACH | UMOUNT_NOFOLLOW);
  if (!done && done.error().sys != EINVAL && done.error().sys != ENOENT) return done;
  return {};
}

Result<std::string> read_in_root(const std::string& root, std::string_view path, uint64_t limit) {
  Fd dir = TRY(os::open_file(root, O_PATH | O_DIRECTORY));
  auto fd = os::open_in_root(dir.get(), path, O_RDONLY | O_NONBLOCK);
  if (!fd) return fd.error().sys == ENOENT || fd.error().sys == ENOTDIR ? Result<std::string>("") : std::unexpected(fd.error());
  auto info = TRY(os::fstat_file(fd->get()));
  if (!S_ISREG(info.st_mode)) return "";
  FileSource source(fd->get(), 0, std::min<uint64_t>(uint64_t(info.st_size), limit));
  return read_all(source, limit);
}

namespace {
Result<void> add_usage(int dir, Usage& usage) {
  for (const auto& entry : TRY(os::list_dir(dir))) {
    struct stat info;
    if (::fstatat(dir, entry.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone meanwhile
    usage.bytes += uint64_t(info.st_blocks) * 512;
    ++usage.inodes;
    if (!S_ISDIR(info.st_mode)) continue;
    auto child = os::open_at(dir, entry.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (child) TRY(add_usage(child->get(), usage));
  }
  return {};
}
}  // namespace

Result<Usage> disk_usage(const std::string& dir) {
  Usage usage;
  Fd fd = TRY(os::open_file(dir, O_RDONLY | O_DIRECTORY));
  TRY(add_usage(fd.get(), usage));
  return usage;
}

Result<void> remove_container_root(const std::string& dir) {
  if (!os::exists(dir)) return {};
  TRY(unmount_container_root(dir));
  if (os::exists(dir + "/lower")) TRY(os::umount_all(dir + "/lower"));  // a mount was cut short
  return os::remove_all(dir);
}

}  // namespace estiba::image
