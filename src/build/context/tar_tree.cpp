#include "build/context/tar_tree.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/strings.h"
#include "image/digest.h"
#include "os/file.h"

namespace estiba::build {
namespace {

using Type = FileInfo::Type;

/// The tar, and behind it the zeros that end one: Docker's client leaves them out when it adds a Dockerfile from elsewhere. That
/// contents are whole is checked by their place.
class SeekingSource final : public image::Source {
 public:
  SeekingSource(int fd, uint64_t size) : fd_(fd), size_(size), padding_(1024 + (512 - size % 512) % 512) {}
  Result<size_t> read(std::span<char> buffer) override {
    if (at_ >= size_) {
      const size_t n = std::min(buffer.size(), padding_);
      std::fill_n(buffer.begin(), n, '\0');
      padding_ -= n;
      return n;
    }
    ssize_t n = ::pread(fd_, buffer.data(), std::min<uint64_t>(buffer.size(), size_ - at_), off_t(at_));
    if (n < 0) return fail_errno("read the context");
    at_ += uint64_t(n);
    return size_t(n);
  }

 private:
  int fd_;
  uint64_t size_, at_ = 0;
  size_t padding_;
};

Result<Fd> unnamed_file(const std::string& directory) {
  auto fd = os::open_file(directory, O_TMPFILE | O_RDWR, 0600);
  if (fd) return fd;
  std::string path = directory + "/context-XXXXXX";
  int made = ::mkostemp(path.data(), O_CLOEXEC);
  if (made < 0) return fail_errno("make a temporary file in " + directory);
  ::unlink(path.c_str());
  return Fd(made);
}

/// The plain tar that `file` holds, which is `file` itself when it is not compressed.
Result<Fd> plain(Fd file, const std::string& directory, uint64_t limit) {
  char magic[6] = {};
  ssize_t n = ::pread(file.get(), magic, sizeof magic, 0);
  std::string_view head(magic, n > 0 ? size_t(n) : 0);
  bool gzip = head.starts_with("\x1f\x8b"), zstd = head.starts_with("\x28\xb5\x2f\xfd");
  if (head.starts_with("BZh"))
    return fail(Code::unsupported, "the build context is compressed by bzip2, which is not offered: use gzip, zstd or none");
  if (head == std::string_view("\xfd"
                               "7zXZ\0",
                               6))
    return fail(Code::unsupported, "the build context is compressed by xz, which is not offered: use gzip, zstd or none");
  if (!gzip && !zstd) return file;
  Fd out = TRY(unnamed_file(directory));
  image::FileSource compressed(file.get());
  if (::lseek(file.get(), 0, SEEK_SET) < 0) return fail_errno("seek");
  image::Decompressor source(compressed);
  image::FileSink sink(out.get());
  auto copied = image::copy_all(source, &sink, limit);
  if (!copied && copied.error().code == Code::too_large)
    return fail(Code::too_large, "the build context does not fit: decompressed it is larger than " + std::to_string(limit) +
                                     " bytes, which is what is free in " + directory);
  TRY(std::move(copied));
  return out;
}

}  // namespace

std::shared_ptr<TarTree> TarTree::empty() { return std::shared_ptr<TarTree>(new TarTree()); }

Result<std::shared_ptr<TarTree>> TarTree::open(Fd file, const std::string& directory, image::TarLimits limits) {
  auto space = TRY(os::disk_space(directory));
  std::shared_ptr<TarTree> out(new TarTree());
  out->file_ = TRY(plain(std::move(file), directory, std::min(limits.total_bytes, space.free_bytes - space.free_bytes / 20)));
  TRY_AS("the build context", out->index(limits));
  return out;
}

Result<void> TarTree::index(image::TarLimits limits) {
  auto st = TRY(os::fstat_file(file_.get()));
  if (st.st_size == 0) return {};
  SeekingSource source(file_.get(), uint64_t(st.st_size));
  image::TarReader reader(source, limits);
  auto buffer = std::make_unique<char[]>(image::chunk_size);
  while (auto entry = TRY(reader.next())) {
    const std::string name = entry->name;
    const uint64_t offset = reader.position();
    const bool file = entry->type == image::TarEntry::Type::file;
    if (offset + entry->size > uint64_t(st.st_size)) return fail(Code::malformed, "the archive is truncated in member " + quoted(name));
    Node* node = TRY_AS(quoted(name), add(*entry, offset));
    if (!node || !file) continue;
    // Nearly all of a context is copied, so that its digests are made in the pass that is needed anyway.
    image::Sha256 hash;
    while (size_t n = TRY(reader.read({buffer.get(), image::chunk_size}))) hash.update({buffer.get(), n});
    node->digest = hash.digest();
  }
  return {};
}

Result<TarTree::Node*> TarTree::add(image::TarEntry& entry, uint64_t offset) {
  using Kind = image::TarEntry::Type;
  for (std::string_view part : split(entry.name, '/'))
    if (part == "..") return fail(Code::invalid, "\"..\" is not allowed in a build context: it leads out of it");
  std::string path = clean_path(entry.name);
  if (path.empty()) return nullptr;
  if (entry.type == Kind::character || entry.type == Kind::block) return fail(Code::invalid, "a device node cannot be in a build context");
  Node* at = &root_;
  size_t depth = 0;
  for (std::string_view part : split(path, '/')) {
    if (++depth > 400) return fail(Code::invalid, "its directories are nested more than 400 deep");
    if (at->info.type != Type::directory) {  // a later member puts something below a file: the file gives way
      at->info = {.type = Type::directory, .mode = 0755};
    }
    auto it = at->children.find(part);
    if (it == at->children.end()) {
      it = at->children.emplace(std::string(part), std::make_unique<Node>()).first;
      it->second->info = {.type = Type::directory, .mode = 0755};
    }
    at = it->second.get();
  }
  FileInfo info{.mode = entry.mode & 07777, .size = entry.size, .mtime = entry.mtime, .mtime_ns = entry.mtime_ns, .link = entry.link};
  info.xattrs = std::move(entry.xattrs);
  std::string digest;
  if (entry.type == Kind::hardlink) {
    Node* target = find(clean_path(entry.link));
    if (!target || target->info.type != Type::file)
      return fail(Code::invalid, "the hard link's target " + quoted(entry.link) + " is not in the context before it");
    info = target->info;
    digest = target->digest;
    offset = target->offset;
  } else {
    info.type = entry.type == Kind::directory ? Type::directory
                : entry.type == Kind::symlink ? Type::symlink
                : entry.type == Kind::fifo    ? Type::fifo
                                              : Type::file;
    if (info.type != Type::symlink) info.link.clear();
  }
  if (info.type != Type::directory) at->children.clear();
  at->info = std::move(info);
  at->offset = offset;
  at->digest = std::move(digest);
  bytes_ += entry.size;
  ++files_;
  return at;
}

TarTree::Node* TarTree::find(std::string_view path) const {
  Node* at = &root_;
  if (path.empty()) return at;
  for (std::string_view part : split(path, '/')) {
    auto it = at->children.find(part);
    if (it == at->children.end()) return nullptr;
    at = it->second.get();
  }
  return at;
}

Result<std::optional<FileInfo>> TarTree::look(const std::string& path) const {
  const Node* node = find(path);
  if (!node) return std::nullopt;
  return node->info;
}

Result<std::vector<std::string>> TarTree::list(const std::string& path) const {
  const Node* node = find(path);
  if (!node) return fail(Code::not_found, path + " is not in the build context");
  std::vector<std::string> out;
  out.reserve(node->children.size());
  for (const auto& [name, child] : node->children) out.push_back(name);
  return out;
}

Result<const TarTree::Node*> TarTree::file(const std::string& path) const {
  const Node* node = find(path);
  if (!node || node->info.type != Type::file) return fail(Code::not_found, path + " is no file in the build context");
  return node;
}

Result<std::string> TarTree::digest(const std::string& path) const {
  const Node* node = TRY(file(path));
  {
    std::lock_guard lock(mutex_);
    if (!node->digest.empty()) return node->digest;
  }
  image::FileSource source(file_.get(), node->offset, node->info.size);
  image::HashingSource hashed(source);
  TRY(image::copy_all(hashed, nullptr));
  std::string digest = hashed.digest();
  std::lock_guard lock(mutex_);
  node->digest = digest;
  return digest;
}

Result<void> TarTree::copy_content(const std::string& path, int fd) const {
  const Node* node = TRY(file(path));
  return copy_bytes(file_.get(), node->offset, node->info.size, fd);
}

Result<std::string> TarTree::read(const std::string& path, uint64_t limit) const {
  const Node* node = TRY(file(path));
  image::FileSource source(file_.get(), node->offset, node->info.size);
  return image::read_all(source, limit);
}

Result<std::string> TarTree::read_head(const std::string& path, size_t size) const {
  const Node* node = TRY(file(path));
  image::FileSource source(file_.get(), node->offset, std::min<uint64_t>(size, node->info.size));
  return image::read_all(source, size);
}

void TarTree::leave_out(const IgnoreRules& rules) { prune(root_, "", rules); }

void TarTree::prune(Node& node, const std::string& path, const IgnoreRules& rules) {
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
