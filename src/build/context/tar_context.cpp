// A context that comes as a tar.
#include "base/strings.h"
#include "build/context/context_tree.h"
#include "image/digest.h"

namespace estiba::build {
namespace {

using Type = FileInfo::Type;

/// A stream whose first bytes are looked at before it is read.
class HeadSource final : public image::Source {
 public:
  explicit HeadSource(image::Source& inner) : inner_(inner) {}
  Result<std::string_view> head(size_t size) {
    while (head_.size() < size) {
      char piece[16];
      const size_t n = TRY(inner_.read({piece, std::min(sizeof piece, size - head_.size())}));
      if (n == 0) break;
      head_.append(piece, n);
    }
    return std::string_view(head_);
  }
  Result<size_t> read(std::span<char> buffer) override {
    if (taken_ == head_.size()) return inner_.read(buffer);
    const size_t n = head_.copy(buffer.data(), buffer.size(), taken_);
    taken_ += n;
    return n;
  }

 private:
  image::Source& inner_;
  std::string head_;
  size_t taken_ = 0;
};

/// The tar, and behind it the zeros that end one: Docker's client leaves them out when it adds a Dockerfile from elsewhere.
class PaddedSource final : public image::Source {
 public:
  explicit PaddedSource(image::Source& inner) : inner_(inner) {}
  Result<size_t> read(std::span<char> buffer) override {
    if (!ended_) {
      const size_t n = TRY(inner_.read(buffer));
      size_ += n;
      if (n > 0) return n;
      ended_ = true;
      padding_ = 1024 + (512 - size_ % 512) % 512;
    }
    const size_t n = std::min(buffer.size(), padding_);
    std::fill_n(buffer.begin(), n, '\0');
    padding_ -= n;
    return n;
  }
  const bool& ended() const { return ended_; }

 private:
  image::Source& inner_;
  uint64_t size_ = 0;
  size_t padding_ = 0;
  bool ended_ = false;
};

Result<void> refuse_other_compression(std::string_view head) {
  for (const auto& [magic, name] : {std::pair{std::string_view("BZh"), "bzip2"},
                                    {std::string_view("\xfd"
                                                      "7zXZ\0",
                                                      6),
                                     "xz"}})
    if (head.starts_with(magic))
      return fail(Code::unsupported,
                  std::string("the build context is compressed by ") + name + ", which is not offered: use gzip, zstd or none");
  return {};
}

}  // namespace

Result<std::shared_ptr<ContextTree>> ContextTree::from_tar(image::Source& archive, const std::string& directory, image::TarLimits limits) {
  HeadSource head(archive);
  TRY(refuse_other_compression(TRY(head.head(6))));
  image::Decompressor decompressed(head);
  PaddedSource plain(decompressed);
  auto out = empty();
  out->contents_ = TRY(Contents::open(directory));
  image::TarReader reader(plain, limits);
  TRY_AS("the build context", out->index(reader, plain.ended()));
  TRY(out->contents_->finish());
  TRY(image::copy_all(plain, nullptr));  // what is behind the end
  return out;
}

/// Nearly all of a context is copied, so that its digests are made in the pass that is needed anyway.
Result<void> ContextTree::index(image::TarReader& reader, const bool& archive_ended) {
  auto buffer = std::make_unique<char[]>(image::chunk_size);
  while (true) {
    auto entry = TRY(reader.next());
    if (!entry) return {};
    const std::string name = entry->name;
    const bool file = entry->type == image::TarEntry::Type::file;
    Node* node = TRY_AS(quoted(name), add(*entry));
    if (!node || !file) continue;
    node->place = TRY(contents_->add(node->info.size));
    image::Sha256 hash;
    while (size_t n = TRY(reader.read({buffer.get(), image::chunk_size}))) {
      if (archive_ended) return fail(Code::malformed, "the archive is truncated in member " + quoted(name));
      hash.update({buffer.get(), n});
      TRY(contents_->write({buffer.get(), n}));
    }
    node->digest = hash.digest();
  }
}

/// The node at a clean path, and directories above it.
Result<ContextTree::Node*> ContextTree::make(std::string_view path) {
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
  return at;
}

Result<ContextTree::Node*> ContextTree::add(image::TarEntry& entry) {
  using Kind = image::TarEntry::Type;
  for (std::string_view part : split(entry.name, '/'))
    if (part == "..") return fail(Code::invalid, "\"..\" is not allowed in a build context: it leads out of it");
  std::string path = clean_path(entry.name);
  if (path.empty()) return nullptr;
  if (entry.type == Kind::character || entry.type == Kind::block) return fail(Code::invalid, "a device node cannot be in a build context");
  Node* at = TRY(make(path));
  FileInfo info{.mode = entry.mode & 07777, .size = entry.size, .mtime = entry.mtime, .mtime_ns = entry.mtime_ns, .link = entry.link};
  info.xattrs = std::move(entry.xattrs);
  ContentPlace place;
  std::string digest;
  if (entry.type == Kind::hardlink) {
    Node* target = find(clean_path(entry.link));
    if (!target || target->info.type != Type::file)
      return fail(Code::invalid, "the hard link's target " + quoted(entry.link) + " is not in the context before it");
    info = target->info;
    digest = target->digest;
    place = target->place;
  } else {
    info.type = entry.type == Kind::directory ? Type::directory
                : entry.type == Kind::symlink ? Type::symlink
                : entry.type == Kind::fifo    ? Type::fifo
                                              : Type::file;
    if (info.type != Type::symlink) info.link.clear();
  }
  if (info.type != Type::directory) at->children.clear();
  at->info = std::move(info);
  at->place = place;
  at->digest = std::move(digest);
  ++files_;
  return at;
}

}  // namespace estiba::build
