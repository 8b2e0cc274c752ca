#include "image/archive_files.h"

#include <fcntl.h>

#include <vector>

#include "base/strings.h"
#include "os/file.h"

namespace estiba::image {
namespace {

/// The name without "./", "//" and with ".." resolved; names only choose among the archive's members.
std::string normal(std::string_view name) {
  std::vector<std::string> parts;
  for (std::string_view part : split(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else {
      parts.emplace_back(part);
    }
  }
  return join(parts, "/");
}

/// A source that owns its file.
class OpenFile final : public Source {
 public:
  explicit OpenFile(Fd fd) : fd_(std::move(fd)), source_(fd_.get()) {}
  Result<size_t> read(std::span<char> buffer) override { return source_.read(buffer); }

 private:
  Fd fd_;
  FileSource source_;
};

}  // namespace

Result<ArchiveFiles> ArchiveFiles::directory(const std::string& path) {
  ArchiveFiles out;
  out.fd_ = TRY(os::open_file(path, O_RDONLY | O_DIRECTORY));
  out.is_directory_ = true;
  return out;
}

Result<ArchiveFiles> ArchiveFiles::tar(Fd file, TarLimits limits) {
  ArchiveFiles out;
  out.fd_ = std::move(file);
  auto info = TRY(os::fstat_file(out.fd_.get()));
  FileSource source(out.fd_.get(), 0, uint64_t(info.st_size));
  TarReader reader(source, limits);
  while (auto entry = TRY(reader.next())) {
    if (entry->type != TarEntry::Type::file && entry->type != TarEntry::Type::symlink && entry->type != TarEntry::Type::hardlink) continue;
    std::string name = normal(entry->name);
    Extent extent{reader.position(), entry->size, {}};
    if (entry->type == TarEntry::Type::hardlink) extent.link = normal(entry->link);
    if (entry->type == TarEntry::Type::symlink)
      extent.link = normal(entry->link.starts_with('/') ? entry->link : name + "/../" + entry->link);
    out.extents_.insert_or_assign(std::move(name), std::move(extent));
  }
  return out;
}

Result<const ArchiveFiles::Extent*> ArchiveFiles::find(std::string name) const {
  for (int hops = 0; hops < 16; ++hops) {
    auto it = extents_.find(name);
    if (it == extents_.end()) break;
    if (it->second.link.empty()) return &it->second;
    name = it->second.link;
  }
  return fail(Code::not_found, "the archive has no file " + quoted(name));
}

bool ArchiveFiles::has(const std::string& name) const {
  if (is_directory_) return os::open_in_root(fd_.get(), name, O_PATH).has_value();
  return find(normal(name)).has_value();
}

Result<std::unique_ptr<Source>> ArchiveFiles::open(const std::string& name) const {
  if (is_directory_) {
    auto fd = os::open_in_root(fd_.get(), name, O_RDONLY | O_NONBLOCK);
    if (!fd && fd.error().sys == ENOENT) return fail(Code::not_found, "the layout has no file " + quoted(name));
    if (!fd) return std::unexpected(fd.error());
    if (!S_ISREG(TRY(os::fstat_file(fd->get())).st_mode)) return fail(Code::invalid, quoted(name) + " in the layout is no regular file");
    return std::make_unique<OpenFile>(std::move(*fd));
  }
  const Extent* extent = TRY(find(normal(name)));
  return std::make_unique<FileSource>(fd_.get(), extent->offset, extent->size);
}

Result<std::string> ArchiveFiles::read(const std::string& name, uint64_t limit) const {
  auto source = TRY(open(name));
  return within(name, read_all(*source, limit));
}

}  // namespace estiba::image
