#include "build/context/context_tree.h"

#include <fcntl.h>

#include "base/strings.h"
#include "image/digest.h"
#include "image/stream.h"
#include "os/file.h"

namespace estiba::build {
namespace {

using Type = FileInfo::Type;

std::unexpected<Error> changed(const std::string& path) {
  return fail(Code::conflict, quoted(path) + " in the build context has changed while it was built from: build again");
}

}  // namespace

std::shared_ptr<ContextTree> ContextTree::empty() { return std::shared_ptr<ContextTree>(new ContextTree()); }

ContextTree::Node* ContextTree::find(std::string_view path) const {
  Node* at = &root_;
  if (path.empty()) return at;
  for (std::string_view part : split(path, '/')) {
    auto it = at->children.find(part);
    if (it == at->children.end()) return nullptr;
    at = it->second.get();
  }
  return at;
}

Result<std::optional<FileInfo>> ContextTree::look(const std::string& path) const {
  const Node* node = find(path);
  if (!node) return std::nullopt;
  return node->info;
}

Result<std::vector<std::string>> ContextTree::list(const std::string& path) const {
  const Node* node = find(path);
  if (!node) return fail(Code::not_found, path + " is not in the build context");
  std::vector<std::string> out;
  out.reserve(node->children.size());
  for (const auto& [name, child] : node->children) out.push_back(name);
  return out;
}

Result<ContextTree::Node*> ContextTree::file(const std::string& path) const {
  Node* node = find(path);
  if (!node || node->info.type != Type::file) return fail(Code::not_found, path + " is no file in the build context");
  return node;
}

/// A file's bytes. What is outside is opened below the client's directory, without following links, and must be what it was.
Result<ContextTree::Reading> ContextTree::open(const std::string& path) const {
  const Node* node = TRY(file(path));
  Reading out;
  out.size = node->info.size;
  {
    std::shared_lock lock(place_mutex_);
    if (!node->outside) {
      out.content = TRY(contents_->read(node->place));
      return out;
    }
    out.outside = *node->outside;
  }
  auto fd = os::open_beneath(outside_.get(), path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!fd && (fd.error().sys == ENOENT || fd.error().sys == ELOOP || fd.error().sys == ENOTDIR)) return changed(path);
  if (!fd) return std::unexpected(std::move(fd.error()).context("error checking context: can't read " + quoted(path)));
  out.content.own = std::move(*fd);
  out.content.fd = out.content.own.get();
  TRY(check(out, path));
  return out;
}

/// Before and after a file outside is read.
Result<void> ContextTree::check(const Reading& reading, const std::string& path) const {
  if (!reading.outside) return {};
  const auto st = TRY(os::fstat_file(reading.content.fd));
  if (!S_ISREG(st.st_mode) || identity_of(st) != *reading.outside) return changed(path);
  return {};
}

Result<std::string> ContextTree::hash(const std::string& path) const {
  if (digests_) {
    std::shared_lock lock(place_mutex_);
    const Node* node = TRY(file(path));
    auto known = node->outside ? digests_->find(*node->outside) : std::nullopt;
    if (known) return *known;
  }
  Reading reading = TRY(open(path));
  image::FileSource source(reading.content.fd, reading.content.offset, reading.size);
  image::Sha256 sha;
  const size_t buffer_size = size_t(std::clamp<uint64_t>(reading.size, 1, image::chunk_size));
  const auto buffer = std::make_unique_for_overwrite<char[]>(buffer_size);
  uint64_t count = 0;
  while (const size_t n = TRY(source.read({buffer.get(), buffer_size}))) {
    sha.update({buffer.get(), n});
    count += n;
  }
  if (count != reading.size) return changed(path);
  TRY(check(reading, path));
  std::string digest = sha.digest();
  if (reading.outside && digests_ && !is_fresh(*reading.outside, now_ns_)) digests_->put(*reading.outside, digest);
  return digest;
}

Result<std::string> ContextTree::digest(const std::string& path) const {
  Node* node = TRY(file(path));
  {
    std::lock_guard lock(digest_mutex_);
    if (!node->digest.empty()) return node->digest;
  }
  std::string digest = TRY(hash(path));
  std::shared_lock place(place_mutex_);
  std::lock_guard lock(digest_mutex_);
  node->digest = digest;
  return digest;
}

Result<void> ContextTree::copy_content(const std::string& path, int fd) const {
  Reading reading = TRY(open(path));
  if (!reading.outside || !is_fresh(*reading.outside, now_ns_)) {
    auto copied = copy_bytes(reading.content.fd, reading.content.offset, reading.size, fd);
    if (!copied && copied.error().code == Code::malformed && reading.outside) return changed(path);
    TRY(std::move(copied));
    return check(reading, path);
  }
  // A file that was being written a moment ago may change within the clock's grain: only its bytes tell.
  const std::string wanted = TRY(digest(path));
  image::FileSource source(reading.content.fd, 0, reading.size);
  image::HashingSource hashed(source);
  image::FileSink sink(fd);
  TRY(image::copy_all(hashed, &sink));
  return hashed.digest() == wanted ? Result<void>() : changed(path);
}

bool ContextTree::give_content(const std::string& path, const std::string& target) const {
  auto node = file(path);
  if (!node) return false;
  std::shared_lock lock(place_mutex_);
  return !(*node)->outside && contents_ && contents_->give((*node)->place, target);
}

Result<std::string> ContextTree::read(const std::string& path, uint64_t limit) const {
  Reading reading = TRY(open(path));
  image::FileSource source(reading.content.fd, reading.content.offset, reading.size);
  std::string out = TRY(image::read_all(source, limit));
  TRY(check(reading, path));
  return out;
}

Result<std::string> ContextTree::read_head(const std::string& path, size_t size) const {
  Reading reading = TRY(open(path));
  image::FileSource source(reading.content.fd, reading.content.offset, std::min<uint64_t>(size, reading.size));
  return image::read_all(source, size);
}

void ContextTree::leave_out(const IgnoreRules& rules) { prune(root_, "", rules); }

void ContextTree::prune(Node& node, const std::string& path, const IgnoreRules& rules) {
  for (auto it = node.children.begin(); it != node.children.end();) {
    std::string below = path.empty() ? it->first : path + "/" + it->first;
    bool directory = it->second->info.type == Type::directory;
    bool ignored = rules.ignored(below);
    bool gone = ignored && (!directory || rules.ignored_whole(below));
    if (!gone && directory) {
      prune(*it->second, below, rules);
      gone = ignored && it->second->children.empty();
    }
    it = gone ? node.children.erase(it) : std::next(it);
  }
}

}  // namespace estiba::build
