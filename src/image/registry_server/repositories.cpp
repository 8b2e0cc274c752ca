#include "image/registry_server/repositories.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/strings.h"
#include "image/digest.h"
#include "image/registry_server/route.h"
#include "os/file.h"

namespace estiba::image {
namespace {

std::string hex(std::string_view digest) { return std::string(hex_of(digest)); }
bool is_hex(std::string_view name) { return name.size() == 64 && valid_digest("sha256:" + std::string(name)); }

/// The names in a directory; none when it is not there.
Result<std::vector<std::string>> entries(const std::string& path) {
  std::vector<std::string> out;
  auto list = os::list_dir(path);
  if (!list) {
    if (list.error().sys == ENOENT) return out;
    return std::unexpected(list.error());
  }
  for (auto& entry : *list) out.push_back(std::move(entry.name));
  std::sort(out.begin(), out.end());
  return out;
}

Result<std::vector<std::string>> digests_in(const std::string& path) {
  std::vector<std::string> out;
  for (const auto& name : TRY(entries(path)))
    if (is_hex(name)) out.push_back("sha256:" + name);
  return out;
}

Result<bool> remove_if_there(const std::string& path) {
  if (!os::exists(path)) return false;
  TRY(os::remove_file(path));
  return true;
}

/// Calls `visit(name)` for every repository below `path`.
template <class Visit>
Result<void> each_repository(const std::string& path, const std::string& prefix, const Visit& visit) {
  bool is_one = false;
  for (const auto& name : TRY(entries(path))) {
    if (name.starts_with('_')) {
      is_one = true;
      continue;
    }
    TRY(each_repository(path + "/" + name, prefix.empty() ? name : prefix + "/" + name, visit));
  }
  if (is_one && !prefix.empty()) TRY(visit(prefix));
  return {};
}

}  // namespace

bool Repositories::exists(std::string_view repository) const {
  const std::string path = dir(repository);
  for (const char* part : {"/_tags", "/_manifests", "/_blobs"})
    if (os::exists(path + part)) return true;
  return false;
}

Result<std::vector<std::string>> Repositories::names() const {
  std::vector<std::string> out;
  TRY(each_repository(root_, "", [&](const std::string& name) -> Result<void> {
    out.push_back(name);
    return {};
  }));
  std::sort(out.begin(), out.end());
  return out;
}

bool Repositories::has_blob(std::string_view repository, std::string_view digest) const {
  return os::exists(dir(repository) + "/_blobs/" + hex(digest));
}

Result<void> Repositories::link_blob(std::string_view repository, std::string_view digest) {
  std::lock_guard lock(writing_);
  const std::string blobs = dir(repository) + "/_blobs";
  TRY(os::make_dirs(blobs, 0700));
  TRY(os::open_file(blobs + "/" + hex(digest), O_WRONLY | O_CREAT, 0600));
  touch_blob(repository, digest);
  return {};
}

void Repositories::touch_blob(std::string_view repository, std::string_view digest) const {
  (void)::utimensat(AT_FDCWD, (dir(repository) + "/_blobs/" + hex(digest)).c_str(), nullptr, 0);
}

Result<bool> Repositories::unlink_blob(std::string_view repository, std::string_view digest) {
  return remove_if_there(dir(repository) + "/_blobs/" + hex(digest));
}

std::optional<std::string> Repositories::manifest_type(std::string_view repository, std::string_view digest) const {
  auto text = os::read_file(dir(repository) + "/_manifests/" + hex(digest));
  if (!text) return std::nullopt;
  return std::string(trim(*text));
}

Result<void> Repositories::add_manifest(std::string_view repository, std::string_view digest, std::string_view type,
                                        std::string_view subject) {
  std::lock_guard lock(writing_);
  const std::string path = dir(repository);
  TRY(os::make_dirs(path + "/_manifests", 0700));
  if (os::exists(path + "/_blobs")) TRY(os::sync_dir(path + "/_blobs"));
  if (!subject.empty()) {
    const std::string referrers = path + "/_referrers/" + hex(subject);
    TRY(os::make_dirs(referrers, 0700));
    TRY(os::open_file(referrers + "/" + hex(digest), O_WRONLY | O_CREAT, 0600));
    TRY(os::sync_dir(referrers));
  }
  return os::write_file_atomic(path + "/_manifests/" + hex(digest), std::string(type) + "\n", 0600);
}

Result<std::vector<std::string>> Repositories::remove_manifest(std::string_view repository, std::string_view digest,
                                                               std::string_view subject) {
  std::lock_guard lock(writing_);
  const std::string path = dir(repository);
  std::vector<std::string> gone;
  for (const auto& name : TRY(tags(repository))) {
    if (tag(repository, name) != digest) continue;
    TRY(os::remove_file(path + "/_tags/" + name));
    gone.push_back(name);
  }
  if (!subject.empty()) TRY(os::remove_file(path + "/_referrers/" + hex(subject) + "/" + hex(digest)));
  if (!TRY(remove_if_there(path + "/_manifests/" + hex(digest))))
    return fail(Code::not_found, "manifest " + std::string(digest) + " is not here");
  return gone;
}

Result<std::vector<std::string>> Repositories::manifests(std::string_view repository) const {
  return digests_in(dir(repository) + "/_manifests");
}

Result<std::vector<std::string>> Repositories::referrers(std::string_view repository, std::string_view subject) const {
  return digests_in(dir(repository) + "/_referrers/" + hex(subject));
}

std::optional<std::string> Repositories::tag(std::string_view repository, std::string_view tag) const {
  auto text = os::read_file(dir(repository) + "/_tags/" + std::string(tag));
  if (!text) return std::nullopt;
  std::string digest(trim(*text));
  if (!valid_digest(digest)) return std::nullopt;
  return digest;
}

Result<std::vector<std::string>> Repositories::tags(std::string_view repository) const {
  std::vector<std::string> out = TRY(entries(dir(repository) + "/_tags"));
  // What a killed write left beside the tags is no tag.
  std::erase_if(out, [&](const std::string& name) { return !valid_tag(name) || !tag(repository, name); });
  return out;
}

Result<void> Repositories::set_tag(std::string_view repository, std::string_view tag, std::string_view digest) {
  std::lock_guard lock(writing_);
  const std::string tags = dir(repository) + "/_tags";
  TRY(os::make_dirs(tags, 0700));
  // Not beside it: "x.tmp" could be a tag as well.
  const std::string fresh = dir(repository) + "/_new";
  TRY(os::write_file_atomic(fresh, std::string(digest) + "\n", 0600));
  TRY(os::rename_file(fresh, tags + "/" + std::string(tag)));
  return os::sync_dir(tags);
}

Result<bool> Repositories::remove_tag(std::string_view repository, std::string_view tag) {
  std::lock_guard lock(writing_);
  return remove_if_there(dir(repository) + "/_tags/" + std::string(tag));
}

Result<void> Repositories::tidy(std::string_view repository, const std::set<std::string, std::less<>>& needed, std::chrono::seconds grace) {
  std::lock_guard lock(writing_);
  const std::string path = dir(repository);
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  for (const auto& digest : TRY(digests_in(path + "/_blobs"))) {
    const std::string link = path + "/_blobs/" + hex(digest);
    if (needed.contains(digest)) continue;
    auto info = os::lstat_file(link);
    if (info && now.tv_sec - info->st_mtim.tv_sec >= grace.count()) TRY(os::remove_file(link));
  }
  if (!TRY(digests_in(path + "/_manifests")).empty() || !TRY(digests_in(path + "/_blobs")).empty()) return {};
  for (const char* part : {"/_manifests", "/_blobs", "/_tags", "/_referrers", "/_new", "/_new.tmp"}) TRY(os::remove_all(path + part));
  // Its directory, and those above it that held nothing else.
  for (std::string empty = path; empty.size() > root_.size(); empty.resize(empty.rfind('/')))
    if (!os::remove_dir(empty)) break;
  return {};
}

Result<std::set<std::string, std::less<>>> registry_content(const std::string& data_dir) {
  std::set<std::string, std::less<>> out;
  const std::string root = data_dir + "/registry/repositories";
  TRY(each_repository(root, "", [&](const std::string& name) -> Result<void> {
    for (const char* part : {"/_manifests", "/_blobs"})
      for (const auto& digest : TRY(digests_in(root + "/" + name + part))) out.emplace(hex_of(digest));
    return {};
  }));
  return out;
}

}  // namespace estiba::image
