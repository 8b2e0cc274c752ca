#include "volume/atomic_writer.h"

#include <dirent.h>
#include <unistd.h>

#include <ctime>

#include "base/strings.h"
#include "os/file.h"

namespace estiba::volume {

namespace {

Result<void> check_path(const std::string& path) {
  if (path.empty() || path.front() == '/') return fail(Code::invalid, "file path " + quoted(path) + " must be relative");
  for (std::string_view part : split(path, '/'))
    if (part == ".." || part.empty()) return fail(Code::invalid, "file path " + quoted(path) + " must not contain '..' or empty parts");
  if (path.starts_with("..")) return fail(Code::invalid, "file path " + quoted(path) + " must not start with '..'");
  return {};
}

bool holds(const std::string& version, const Files& files) {
  size_t found = 0;
  for (const auto& [path, file] : files) {
    auto stat = os::lstat_file(version + "/" + path);
    if (!stat || (stat->st_mode & 07777) != file.mode || size_t(stat->st_size) != file.content.size()) return false;
    auto content = os::read_file(version + "/" + path);
    if (!content || *content != file.content) return false;
    ++found;
  }
  // As many files as wanted, and none more: count what is there.
  size_t there = 0;
  std::vector<std::string> directories{version};
  while (!directories.empty()) {
    const std::string directory = std::move(directories.back());
    directories.pop_back();
    auto entries = os::list_dir(directory);
    if (!entries) return false;
    for (const auto& entry : *entries) {
      if (entry.type == DT_DIR) directories.push_back(directory + "/" + entry.name);
      else ++there;
    }
  }
  return there == found;
}

Result<void> write_version(const std::string& version, const Files& files, std::optional<gid_t> gid) {
  TRY(os::make_dir(version, 0755));
  if (gid) TRY(os::change_owner(version, uid_t(-1), *gid));
  for (const auto& [path, file] : files) {
    if (const size_t slash = path.rfind('/'); slash != std::string::npos) TRY(os::make_dirs(version + "/" + path.substr(0, slash)));
    const std::string target = version + "/" + path;
    TRY(os::write_file(target, file.content, O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    if (gid) TRY(os::change_owner(target, uid_t(-1), *gid));
    TRY(os::change_mode(target, file.mode));
  }
  return {};
}

// The names that users see: the first part of each path, a link into ..data.
Result<void> link_names(const std::string& dir, const Files& files) {
  std::map<std::string, bool> wanted;
  for (const auto& [path, file] : files) wanted[std::string(split_once(path, '/').first)] = true;
  for (const auto& [name, _] : wanted) {
    if (os::read_link(dir + "/" + name)) continue;
    TRY(os::make_symlink("..data/" + name, dir + "/" + name));
  }
  for (const auto& entry : TRY(os::list_dir(dir)))
    if (!entry.name.starts_with("..") && !wanted.contains(entry.name)) TRY(os::remove_file(dir + "/" + entry.name));
  return {};
}

std::string version_name(WallTime now) {
  const auto ns = now.time_since_epoch().count();
  const std::time_t seconds = ns / 1'000'000'000;
  std::tm tm{};
  gmtime_r(&seconds, &tm);
  char text[64];
  std::snprintf(text, sizeof text, "..%04d_%02d_%02d_%02d_%02d_%02d.%09lld", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                tm.tm_sec, static_cast<long long>(ns % 1'000'000'000));
  return text;
}

}  // namespace

Result<bool> write_atomically(const std::string& dir, const Files& files, WallTime now, std::optional<gid_t> gid) {
  for (const auto& [path, file] : files) TRY(check_path(path));
  auto current = os::read_link(dir + "/..data");
  if (current && holds(dir + "/" + *current, files)) {
    TRY(link_names(dir, files));
    return false;
  }
  const std::string name = version_name(now), version = dir + "/" + name;
  auto undo = [&](Error error) -> Result<bool> {
    (void)os::remove_all(version);
    return std::unexpected(std::move(error).context("write volume " + dir));
  };
  if (auto written = write_version(version, files, gid); !written) return undo(written.error());
  const std::string temporary = dir + "/..data_tmp";
  (void)os::remove_file(temporary);
  if (auto linked = os::make_symlink(name, temporary); !linked) return undo(linked.error());
  if (auto renamed = os::rename_file(temporary, dir + "/..data"); !renamed) return undo(renamed.error());
  TRY(link_names(dir, files));
  // Earlier versions, also those that a crash left.
  for (const auto& entry : TRY(os::list_dir(dir)))
    if (entry.name.starts_with("..2") && entry.name != name) TRY(os::remove_all(dir + "/" + entry.name));
  return true;
}

}  // namespace estiba::volume
