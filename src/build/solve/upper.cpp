#include "build/solve/upper.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/strings.h"
#include "os/file.h"

namespace estiba::build {
namespace {

using Type = FileInfo::Type;

Result<void> set_xattrs(const std::string& path, const FileInfo& info) {
  for (const auto& [name, value] : info.xattrs)
    if (::lsetxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0) != 0 && errno != ENOTSUP)
      return fail_errno("setxattr " + name);
  return {};
}

std::pair<std::string, std::string> cut(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == path.npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

/// The fields of the line of a passwd or group file that begins with `name`.
std::vector<std::string> account(const std::string& file, std::string_view name) {
  for (std::string_view line : split(file, '\n')) {
    auto fields = split(line, ':');
    if (fields.size() >= 3 && fields[0] == name) return {fields.begin(), fields.end()};
  }
  return {};
}

Result<std::string> read_etc(const Tree& tree, const char* name) {
  std::string path = TRY(tree.resolve(name, true));
  auto info = TRY(tree.look(path));
  if (!info || info->type != Type::file) return std::string();
  return tree.read(path, 4 << 20);
}

}  // namespace

Upper::Upper(std::vector<std::string> layers, std::string directory) : directory_(std::move(directory)) {
  below_ = std::make_unique<LayeredTree>(layers);
  layers.push_back(directory_);
  tree_ = std::make_unique<LayeredTree>(std::move(layers));
}

Result<std::unique_ptr<Upper>> Upper::open(std::vector<std::string> layers, std::string directory) {
  TRY(os::make_dirs(directory));
  std::unique_ptr<Upper> out(new Upper(std::move(layers), std::move(directory)));
  auto root = TRY(out->below_->look(""));
  TRY(out->set_directory("", *root));
  out->directories_[""].below = true;
  return out;
}

Result<void> Upper::bring_up(const std::string& path) {
  if (directories_.contains(path)) return {};
  TRY(bring_up(cut(path).first));
  auto below = TRY(below_->look(path));
  bool is_below = below && below->type == Type::directory;
  if (::mkdir(real(path).c_str(), 0755) == 0) {
    if (is_below) TRY(set_directory(path, *below));
  } else if (errno != EEXIST) {
    return fail_errno("mkdir /" + path);
  } else {
    auto st = TRY(os::lstat_file(real(path)));
    directories_[path].mtime = st.st_mtim.tv_sec;
    directories_[path].mtime_ns = uint32_t(st.st_mtim.tv_nsec);
  }
  directories_[path].below = is_below;
  return {};
}

Result<std::string> Upper::make_directory(std::string_view path, uint32_t mode, Owner owner, int64_t mtime) {
  std::string resolved = TRY(tree_->resolve(path, true));
  if (directories_.contains(resolved)) return resolved;
  std::string at;
  if (resolved.empty()) return resolved;
  for (std::string_view part : split(resolved, '/')) {
    at += (at.empty() ? "" : "/") + std::string(part);
    if (directories_.contains(at)) continue;
    auto there = TRY(tree_->look(at));
    if (there && there->type != Type::directory) return fail(Code::invalid, "/" + at + " is not a directory");
    TRY(bring_up(at));
    if (!there) TRY(set_directory(at, {.type = Type::directory, .mode = mode, .uid = owner.uid, .gid = owner.gid, .mtime = mtime}));
  }
  return resolved;
}

Result<void> Upper::set_directory(const std::string& path, const FileInfo& info) {
  const std::string place = real(path);
  if (::lchown(place.c_str(), info.uid, info.gid) != 0) return fail_errno("chown /" + path);
  if (::chmod(place.c_str(), info.mode) != 0) return fail_errno("chmod /" + path);
  TRY(set_xattrs(place, info));
  auto& directory = directories_[path];
  directory.mtime = info.mtime;
  directory.mtime_ns = info.mtime_ns;
  return {};
}

Result<void> Upper::clear_place(const std::string& parent, const std::string& name) {
  const std::string path = parent.empty() ? name : parent + "/" + name;
  auto directory = directories_.find(parent);
  if (directory == directories_.end()) return fail(Code::internal, "/" + parent + " was not made first");
  struct stat st;
  bool here = ::lstat(real(path).c_str(), &st) == 0;
  bool is_directory = here && S_ISDIR(st.st_mode);
  if (!here && directory->second.below) {
    auto below = TRY(below_->look(path));
    is_directory = below && below->type == Type::directory;
  }
  if (is_directory) return fail(Code::invalid, "cannot overwrite the directory /" + path + " with a file");
  if (here) TRY(os::remove_file(real(path)));
  return {};
}

Result<void> Upper::write(const std::string& path, const FileInfo& info, const Tree& tree, const std::string& source, bool take) const {
  const std::string place = real(path);
  const timespec times[2] = {{0, UTIME_OMIT}, {info.mtime, long(info.mtime_ns)}};
  if (info.type == Type::file) {
    const bool given = take && tree.give_content(source, place);
    Fd fd = TRY(os::open_file(place, O_WRONLY | O_NOFOLLOW | (given ? 0 : O_CREAT | O_EXCL), mode_t(info.mode & 0777)));
    if (info.size > 0 && !given) TRY_AS("/" + path, tree.copy_content(source, fd.get()));
    struct stat made = TRY(os::fstat_file(fd.get()));
    if (made.st_uid != info.uid || made.st_gid != info.gid)
      if (::fchown(fd.get(), info.uid, info.gid) != 0) return fail_errno("chown /" + path);
    if ((made.st_mode & 07777) != info.mode || info.mode & 07000)
      if (::fchmod(fd.get(), info.mode) != 0) return fail_errno("chmod /" + path);
    if (!info.xattrs.empty()) TRY(set_xattrs(place, info));
    if (::futimens(fd.get(), times) != 0) return fail_errno("set the time of /" + path);
    return {};
  }
  int made = -1;
  if (info.type == Type::symlink) made = ::symlink(info.link.c_str(), place.c_str());
  if (info.type == Type::fifo) made = ::mkfifo(place.c_str(), 0600);
  if (info.type == Type::character || info.type == Type::block)
    made = ::mknod(place.c_str(), (info.type == Type::block ? S_IFBLK : S_IFCHR) | 0600, makedev(info.major, info.minor));
  if (made != 0) return fail_errno("make /" + path);
  if (::lchown(place.c_str(), info.uid, info.gid) != 0) return fail_errno("chown /" + path);
  if (info.type != Type::symlink && ::chmod(place.c_str(), info.mode) != 0) return fail_errno("chmod /" + path);
  if (!info.xattrs.empty()) TRY(set_xattrs(place, info));
  if (::utimensat(AT_FDCWD, place.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("set the time of /" + path);
  return {};
}

Result<void> Upper::finish() {
  for (const auto& [path, directory] : directories_) {
    const timespec times[2] = {{0, UTIME_OMIT}, {directory.mtime, long(directory.mtime_ns)}};
    if (::utimensat(AT_FDCWD, real(path).c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return fail_errno("set the time of /" + path);
  }
  return {};
}

Result<Owner> look_up_owner(const Tree& tree, std::string_view text) {
  auto [user, group] = split_once(text, ':');
  Owner out;
  if (auto number = parse_number<uint32_t>(user)) {
    out.uid = out.gid = *number;
  } else if (!user.empty()) {
    auto fields = account(TRY(read_etc(tree, "etc/passwd")), user);
    auto uid = fields.size() > 3 ? parse_number<uint32_t>(fields[2]) : std::nullopt;
    auto gid = fields.size() > 3 ? parse_number<uint32_t>(fields[3]) : std::nullopt;
    if (!uid || !gid)
      return fail(Code::invalid, "unable to convert uid/gid chown string to host mapping: can't find uid for user " + std::string(user) +
                                     ": no such user: " + std::string(user));
    out = {*uid, *gid};
  }
  if (!group || group->empty()) return out;
  if (auto number = parse_number<uint32_t>(*group)) {
    out.gid = *number;
    return out;
  }
  auto fields = account(TRY(read_etc(tree, "etc/group")), *group);
  auto gid = fields.size() > 2 ? parse_number<uint32_t>(fields[2]) : std::nullopt;
  if (!gid)
    return fail(Code::invalid, "unable to convert uid/gid chown string to host mapping: can't find gid for group " + std::string(*group) +
                                   ": no such group: " + std::string(*group));
  out.gid = *gid;
  return out;
}

}  // namespace estiba::build
