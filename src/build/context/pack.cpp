#include "build/context/pack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/strings.h"
#include "build/context/walk.h"
#include "image/tar.h"
#include "os/file.h"

namespace estiba::build {
namespace {

struct Text final : image::Sink {
  std::string text;
  Result<void> write(std::string_view bytes) override {
    text += bytes;
    return {};
  }
};

using Type = image::TarEntry::Type;

class DirectoryPacker final : public Packer {
 public:
  explicit DirectoryPacker(PackOptions options) : options_(std::move(options)), writer_(sink_) {}

  Result<void> list() {
    if (options_.directory.empty()) return {};
    root_ = TRY(os::open_file(options_.directory, O_RDONLY | O_DIRECTORY));
    entries_ = TRY(walk_context(root_.get(), options_.ignore));
    return {};
  }

  Result<std::string> next() override {
    while (sink_.text.size() < 512 * 1024 && !ended_) TRY(step());
    return std::exchange(sink_.text, {});
  }
  size_t files() const override { return entries_.size() + options_.extra.size(); }

 private:
  Result<void> step() {
    if (open_) return content();
    if (at_ < entries_.size()) return begin(entries_[at_++]);
    if (extra_ < options_.extra.size()) {
      const auto& [name, text] = options_.extra[extra_++];
      return writer_.file(name, text);
    }
    ended_ = true;
    return writer_.finish();
  }

  Result<void> begin(const WalkedFile& entry) {
    image::TarEntry out{.name = entry.path,
                        .mode = entry.st.st_mode & 07777u,
                        .uid = entry.st.st_uid,
                        .gid = entry.st.st_gid,
                        .mtime = entry.st.st_mtim.tv_sec};
    out.type = S_ISDIR(entry.st.st_mode)    ? Type::directory
               : S_ISLNK(entry.st.st_mode)  ? Type::symlink
               : S_ISFIFO(entry.st.st_mode) ? Type::fifo
               : S_ISCHR(entry.st.st_mode)  ? Type::character
               : S_ISBLK(entry.st.st_mode)  ? Type::block
                                            : Type::file;
    if (out.type == Type::directory) out.name += '/';
    if (out.type == Type::character || out.type == Type::block) {
      out.major = major(entry.st.st_rdev);
      out.minor = minor(entry.st.st_rdev);
    }
    if (out.type == Type::symlink) {
      char target[4096];
      ssize_t n = ::readlinkat(root_.get(), entry.path.c_str(), target, sizeof target);
      if (n < 0) return fail_errno("error checking context: can't read the link " + quoted(entry.path));
      out.link.assign(target, size_t(n));
    }
    if (out.type != Type::file) {
      TRY(writer_.begin(out));
      return writer_.end();
    }
    auto fd = os::open_at(root_.get(), entry.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!fd) return std::unexpected(std::move(fd.error()).context("error checking context: can't read " + quoted(entry.path)));
    struct stat st;
    if (::fstat(fd->get(), &st) != 0 || !S_ISREG(st.st_mode))
      return fail(Code::invalid, "error checking context: " + quoted(entry.path) + " has changed meanwhile");
    out.size = left_ = uint64_t(st.st_size);
    open_ = std::move(*fd);
    TRY(writer_.begin(out));
    return content();
  }

  Result<void> content() {
    if (left_ == 0) {
      open_.reset();
      return writer_.end();
    }
    const size_t want = size_t(std::min<uint64_t>(left_, 512 * 1024));
    buffer_.resize(want);
    ssize_t n = ::read(open_.get(), buffer_.data(), want);
    if (n < 0) return fail_errno("read " + quoted(entries_[at_ - 1].path));
    if (n == 0)
      return fail(Code::invalid, "error checking context: " + quoted(entries_[at_ - 1].path) + " has become shorter while it was sent");
    left_ -= uint64_t(n);
    return writer_.content({buffer_.data(), size_t(n)});
  }

  PackOptions options_;
  Text sink_;
  image::TarWriter writer_;
  Fd root_, open_;
  std::vector<WalkedFile> entries_;
  std::string buffer_;
  size_t at_ = 0, extra_ = 0;
  uint64_t left_ = 0;
  bool ended_ = false;
};

}  // namespace

Result<std::unique_ptr<Packer>> Packer::open(PackOptions options) {
  auto out = std::make_unique<DirectoryPacker>(std::move(options));
  TRY(out->list());
  return out;
}

Result<IgnoreRules> read_ignore_rules(const std::string& directory, const std::string& dockerfile, bool* found) {
  IgnoreRules rules;
  bool any = false;
  for (const std::string& name : {dockerfile + ".dockerignore", std::string(".dockerignore")}) {
    auto text = os::read_file(directory + "/" + name);
    if (!text && (text.error().sys == ENOENT || text.error().sys == ENOTDIR)) continue;
    if (!text) return std::unexpected(std::move(text.error()));
    rules = TRY(IgnoreRules::parse(*text, name));
    any = true;
    break;
  }
  if (found) *found = any;
  if (any)
    for (const std::string& name : {dockerfile, dockerfile + ".dockerignore", std::string(".dockerignore")})
      rules.add(TRY(PathPattern::parse(name)), true);
  return rules;
}

}  // namespace estiba::build
