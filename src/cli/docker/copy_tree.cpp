#include "cli/docker/copy_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <memory>

#include "base/strings.h"
#include "image/tar.h"
#include "os/file.h"

namespace estiba::cli::docker {

namespace {

class BodySource final : public image::Source {
 public:
  explicit BodySource(Response& body) : body_(body) {}
  Result<size_t> read(std::span<char> buffer) override {
    const size_t n = TRY(body_.read(buffer.data(), buffer.size()));
    count_ += n;
    return n;
  }
  uint64_t count() const { return count_; }

 private:
  Response& body_;
  uint64_t count_ = 0;
};

using Entry = image::TarEntry;

// The member's name below the target: its first component replaced or left out. Empty: nothing to make. An error for ".." and
// absolute names.
Result<std::string> placed(std::string_view name, const std::string& root) {
  std::vector<std::string> parts;
  if (name.starts_with('/')) return fail(Code::invalid, "the archive holds the absolute name " + quoted(name));
  for (std::string_view part : split(name, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return fail(Code::invalid, "the archive holds the name " + quoted(name) + ", which leads out of the target");
    parts.emplace_back(part);
  }
  if (parts.empty()) return root;
  if (root.empty()) parts.erase(parts.begin());
  else parts[0] = root;
  return join(parts, "/");
}

class Extractor {
 public:
  Extractor(int root, const ExtractOptions& options) : root_(root), options_(options) {}

  Result<void> take(image::TarReader& tar, const Entry& entry) {
    const std::string name = TRY(placed(entry.name, options_.rename_root));
    if (name.empty()) return {};
    const size_t slash = name.rfind('/');
    const std::string parent = slash == name.npos ? "" : name.substr(0, slash), leaf = name.substr(slash == name.npos ? 0 : slash + 1);
    const Fd directory = parent.empty() ? TRY(os::open_at(root_, ".", O_PATH | O_DIRECTORY)) : TRY(os::make_dirs_in_root(root_, parent));
    TRY_AS(quoted(entry.name), make(tar, entry, directory.get(), leaf, name));
    return {};
  }

  // Directories get their modes and times last, so that what is in them can be made.
  Result<void> finish() {
    for (auto it = directories_.rbegin(); it != directories_.rend(); ++it) {
      auto opened = os::open_in_root(root_, it->first, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      if (!opened) continue;
      fchmod(opened->get(), it->second.mode & 07777);
      const timespec times[2] = {{it->second.mtime, long(it->second.mtime_ns)}, {it->second.mtime, long(it->second.mtime_ns)}};
      futimens(opened->get(), times);
    }
    return {};
  }

 private:
  Result<void> make(image::TarReader& tar, const Entry& entry, int directory, const std::string& leaf, const std::string& name) {
    struct stat there{};
    const bool exists = fstatat(directory, leaf.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
    if (entry.type == Entry::Type::directory) {
      if (exists && !S_ISDIR(there.st_mode)) return fail(Code::conflict, "a directory cannot replace what is no directory");
      if (!exists && mkdirat(directory, leaf.c_str(), 0700) != 0) return fail_errno("mkdir");
      own(directory, leaf, entry);
      directories_.emplace_back(name, entry);
      return {};
    }
    if (exists && S_ISDIR(there.st_mode)) return fail(Code::conflict, "a file cannot replace a directory");
    if (exists && unlinkat(directory, leaf.c_str(), 0) != 0) return fail_errno("unlink");
    switch (entry.type) {
      case Entry::Type::file: return file(tar, entry, directory, leaf);
      case Entry::Type::symlink:
        if (symlinkat(entry.link.c_str(), directory, leaf.c_str()) != 0) return fail_errno("symlink");
        own(directory, leaf, entry);
        return {};
      case Entry::Type::hardlink: {
        const std::string target = TRY(placed(entry.link, options_.rename_root));
        const Fd to = TRY(os::open_in_root(root_, target, O_PATH | O_NOFOLLOW));
        if (linkat(AT_FDCWD, os::fd_path(to.get()).c_str(), directory, leaf.c_str(), AT_SYMLINK_FOLLOW) != 0) return fail_errno("link");
        return {};
      }
      case Entry::Type::fifo:
        if (mkfifoat(directory, leaf.c_str(), entry.mode & 0777) != 0) return fail_errno("mkfifo");
        own(directory, leaf, entry);
        return {};
      default: return {};
    }
  }

  Result<void> file(image::TarReader& tar, const Entry& entry, int directory, const std::string& leaf) {
    const Fd out = TRY(os::open_at(directory, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    std::vector<char> bytes(256 * 1024);
    for (;;) {
      const size_t n = TRY(tar.read(bytes));
      if (n == 0) break;
      TRY(os::write_all(out.get(), {bytes.data(), n}));
    }
    own(directory, leaf, entry);
    fchmod(out.get(), entry.mode & 07777);
    const timespec times[2] = {{entry.mtime, long(entry.mtime_ns)}, {entry.mtime, long(entry.mtime_ns)}};
    futimens(out.get(), times);
    return {};
  }

  // Who may not give files away keeps them.
  void own(int directory, const std::string& leaf, const Entry& entry) {
    if (options_.keep_owner && fchownat(directory, leaf.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) return;
  }

  int root_;
  const ExtractOptions& options_;
  std::vector<std::pair<std::string, Entry>> directories_;
};

// --- packing ------------------------------------------------------------------------------------------------------------------

class Packer final : public image::Sink {
 public:
  Packer(std::string path, std::string root, PackOptions options) : follow_(options.follow_root), writer_(*this) {
    todo_.push_back({std::move(path), std::move(root)});
  }

  /// Some bytes of the archive; none at its end.
  Result<std::string> next() {
    out_.clear();
    while (out_.size() < 64 * 1024 && !finished_) TRY(advance());
    return std::move(out_);
  }
  Result<void> write(std::string_view bytes) override {
    out_ += bytes;
    return {};
  }

 private:
  struct Item {
    std::string path, name;
  };

  Result<void> advance() {
    if (file_) return more_of_file();
    if (todo_.empty()) {
      finished_ = true;
      return writer_.finish();
    }
    const Item item = std::move(todo_.back());
    todo_.pop_back();
    return member(item);
  }

  Result<void> more_of_file() {
    char bytes[64 * 1024];
    const ssize_t n = read(file_.get(), bytes, std::min<uint64_t>(sizeof bytes, left_));
    if (n < 0) return fail_errno("read " + name_);
    if (n == 0 && left_ > 0) return fail(Code::conflict, name_ + " has become shorter while it was read");
    TRY(writer_.content({bytes, size_t(n)}));
    left_ -= uint64_t(n);
    if (left_ > 0) return {};
    file_.reset();
    return writer_.end();
  }

  Result<void> member(const Item& item) {
    struct stat info{};
    if ((std::exchange(follow_, false) ? ::stat : ::lstat)(item.path.c_str(), &info) != 0) return fail_errno("lstat " + item.path);
    Entry entry;
    entry.name = item.name;
    entry.mode = info.st_mode & 07777;
    entry.uid = info.st_uid;
    entry.gid = info.st_gid;
    entry.mtime = info.st_mtim.tv_sec;
    entry.mtime_ns = uint32_t(info.st_mtim.tv_nsec);
    if (S_ISDIR(info.st_mode)) return directory(item, entry);
    if (S_ISLNK(info.st_mode)) {
      entry.type = Entry::Type::symlink;
      entry.link = TRY(os::read_link(item.path));
    } else if (S_ISFIFO(info.st_mode)) {
      entry.type = Entry::Type::fifo;
    } else if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) {
      entry.type = S_ISCHR(info.st_mode) ? Entry::Type::character : Entry::Type::block;
      entry.major = major(info.st_rdev);
      entry.minor = minor(info.st_rdev);
    } else if (!S_ISREG(info.st_mode)) {
      return {};
    } else if (info.st_nlink > 1 && !links_.try_emplace({info.st_dev, info.st_ino}, item.name).second) {
      entry.type = Entry::Type::hardlink;
      entry.link = links_[{info.st_dev, info.st_ino}];
    } else {
      file_ = TRY(os::open_file(item.path, O_RDONLY));
      name_ = item.path;
      entry.size = left_ = uint64_t(info.st_size);
    }
    TRY(writer_.begin(entry));
    if (file_ && left_ > 0) return {};
    file_.reset();
    return writer_.end();
  }

  Result<void> directory(const Item& item, Entry& entry) {
    if (!item.name.empty()) {
      entry.type = Entry::Type::directory;
      entry.name += '/';
      TRY(writer_.begin(entry));
      TRY(writer_.end());
    }
    auto names = TRY(os::list_dir(item.path));
    std::sort(names.begin(), names.end(), [](auto& a, auto& b) { return a.name > b.name; });  // taken from the end
    for (const os::DirEntry& each : names)
      todo_.push_back({item.path + "/" + each.name, item.name.empty() ? each.name : item.name + "/" + each.name});
    return {};
  }

  bool follow_, finished_ = false;
  std::vector<Item> todo_;
  std::string out_, name_;
  image::TarWriter writer_;
  Fd file_;
  uint64_t left_ = 0;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

}  // namespace

Result<uint64_t> extract(Response& body, const std::string& directory, const ExtractOptions& options) {
  const Fd root = TRY(os::open_file(directory, O_PATH | O_DIRECTORY));
  BodySource source(body);
  image::TarReader tar(source);
  Extractor extractor(root.get(), options);
  for (;;) {
    auto entry = TRY(tar.next());
    if (!entry) break;
    TRY(extractor.take(tar, *entry));
  }
  TRY(extractor.finish());
  // What pads the archive, so that the connection can be used again.
  char rest[4096];
  while (TRY(source.read(rest)) > 0) {
  }
  return source.count();
}

UniqueFunction<Result<std::string>()> pack(const std::string& path, const std::string& root, PackOptions options, uint64_t* sent) {
  auto packer = std::make_unique<Packer>(path, root, options);
  return [packer = std::move(packer), sent]() -> Result<std::string> {
    std::string piece = TRY(packer->next());
    *sent += piece.size();
    return piece;
  };
}

}  // namespace estiba::cli::docker
