#include "build/solve/copy.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/strings.h"
#include "build/context/ignore.h"
#include "image/overlay.h"
#include "image/stream.h"
#include "image/unpack.h"
#include "os/file.h"
#include "os/mount.h"

namespace estiba::build {
namespace {

using Type = FileInfo::Type;

std::string joined(const std::string& a, const std::string& b) { return a.empty() ? b : b.empty() ? a : a + "/" + b; }

class Copier {
 public:
  Copier(const Tree& tree, const CopyRequest& request, const CopyPlan& plan, Upper& upper, const std::string& scratch)
      : tree_(tree), request_(request), plan_(plan), upper_(upper), scratch_(scratch) {}

  Result<void> run() {
    const std::string& written = request_.destination;
    bool directory = written.ends_with('/') || written == "." || written.ends_with("/.") || request_.parents;
    if (plan_.sources.size() > 1 && !directory)
      return fail(Code::invalid, "When using " + request_.keyword +
                                     " with more than one source file, the destination must be a directory and end with a /");
    destination_ = clean_path(written.starts_with('/') ? written : request_.working_dir + "/" + written);
    std::string resolved = TRY(upper_.tree().resolve(destination_, true));
    auto there = TRY(upper_.tree().look(resolved));
    directory |= there && there->type == Type::directory;
    for (const CopySource& source : plan_.sources) {
      if (source.archive) continue;
      TRY(source.items[0].info.type == Type::directory ? tree_source(source) : file_source(source, directory));
    }
    TRY(write_files());
    TRY(upper_.finish());
    for (const CopySource& source : plan_.sources)
      if (source.archive) TRY(archive(source));
    return {};
  }

 private:
  struct Job {
    std::string target;
    const CopyItem* item;
  };

  Owner owner() const { return request_.owner.value_or(Owner{}); }
  static int64_t time_of(const CopySource& source) { return source.items[0].info.mtime; }

  /// The directories that --parents keeps.
  Result<std::string> parents_of(const CopySource& source, std::string name) {
    size_t slash = name.rfind('/');
    std::string above = slash == name.npos ? "" : name.substr(0, slash);
    return upper_.make_directory(joined(destination_, above), 0755, owner(), time_of(source));
  }

  Result<void> file_source(const CopySource& source, bool into_directory) {
    std::string parent, name;
    if (request_.parents) {
      parent = TRY(parents_of(source, source.name));
      name = source.name.substr(source.name.rfind('/') + 1);
    } else if (into_directory) {
      parent = TRY(upper_.make_directory(destination_, 0755, owner(), time_of(source)));
      name = source.name;
    } else {
      // A destination that is a symlink is written through, as the reference has it.
      std::string resolved = TRY(upper_.tree().resolve(destination_, true));
      size_t slash = resolved.rfind('/');
      parent = TRY(upper_.make_directory(slash == resolved.npos ? "" : resolved.substr(0, slash), 0755, owner(), time_of(source)));
      name = resolved.substr(slash == resolved.npos ? 0 : slash + 1);
    }
    return place(parent, name, source.items[0]);
  }

  Result<void> place(const std::string& parent, const std::string& name, const CopyItem& item) {
    if (name.empty()) return fail(Code::invalid, request_.keyword + " failed: the destination / is a directory");
    TRY_AS(request_.keyword + " failed", upper_.clear_place(parent, name));
    std::string target = joined(parent, name);
    // Two sources may have a file of one name: the last one counts, as if they were copied one after the other.
    std::erase_if(jobs_, [&](const Job& job) { return plan_.sources.size() > 1 && job.target == target; });
    jobs_.push_back({std::move(target), &item});
    return {};
  }

  Result<void> tree_source(const CopySource& source) {
    std::string root = request_.parents ? joined(destination_, source.name) : destination_;
    if (request_.parents) TRY(parents_of(source, source.name));
    // Where each directory of the source has come to be, since the image may have symlinks on the way.
    std::map<std::string, std::string, std::less<>> places;
    for (const CopyItem& item : source.items) {
      size_t slash = item.relative.rfind('/');
      std::string above = slash == item.relative.npos ? "" : item.relative.substr(0, slash);
      std::string name = slash == item.relative.npos ? item.relative : item.relative.substr(slash + 1);
      if (item.info.type != Type::directory) {
        TRY(place(places.at(above), name, item));
        continue;
      }
      std::string path = item.relative.empty() ? root : joined(places.at(above), name);
      auto before = TRY(upper_.tree().look(TRY(upper_.tree().resolve(path, true))));
      std::string made = TRY_AS(request_.keyword + " failed", upper_.make_directory(path, 0755, owner(), item.info.mtime));
      if (!before) TRY(upper_.set_directory(made, item.info));
      places[item.relative] = std::move(made);
    }
    return {};
  }

  Result<void> write_files() {
    const size_t threads = jobs_.size() < 32 ? 1 : std::clamp(std::thread::hardware_concurrency(), 1u, 4u);
    std::vector<Result<void>> results(threads);
    auto work = [&](size_t t) {
      // Neighbours stay together, so that threads seldom meet in one directory.
      const size_t from = jobs_.size() * t / threads, to = jobs_.size() * (t + 1) / threads;
      for (size_t i = from; i < to && results[t]; ++i)
        results[t] = upper_.write(jobs_[i].target, jobs_[i].item->info, tree_, jobs_[i].item->source, request_.take);
    };
    std::vector<std::thread> running;
    for (size_t t = 1; t < threads; ++t) running.emplace_back(work, t);
    work(0);
    for (std::thread& thread : running) thread.join();
    for (auto& result : results) TRY(std::move(result));
    return {};
  }

  /// Through a mount, so that the image's symlinks lead an archive's members where they would lead tar in a container.
  Result<void> archive(const CopySource& source) {
    std::vector<std::string> below = upper_.tree().layers();
    below.pop_back();
    if (below.empty()) return unpack_into(source, upper_.path());
    const std::string work = upper_.path() + "-work", target = scratch_ + "/unpack";
    TRY(os::make_dirs(work));
    TRY(os::make_dirs(target));
    TRY(image::mount_overlay(below, upper_.path(), work, target, image::Writes::passing));
    auto done = unpack_into(source, target);
    auto unmounted = os::umount(target);
    TRY(os::remove_all(work));
    TRY(std::move(done));
    return unmounted;
  }

  Result<void> unpack_into(const CopySource& source, const std::string& mounted) {
    Fd root = TRY(os::open_file(mounted, O_PATH | O_DIRECTORY));
    Fd made = TRY(os::make_dirs_in_root(root.get(), destination_.empty() ? "." : destination_));
    Fd copy = TRY(os::open_file(scratch_, O_TMPFILE | O_RDWR, 0600));
    TRY(tree_.copy_content(source.items[0].source, copy.get()));
    if (::lseek(copy.get(), 0, SEEK_SET) < 0) return fail_errno("seek");
    image::FileSource file(copy.get());
    image::Decompressor plain(file);
    image::UnpackOptions options;
    options.whiteouts = false;
    auto unpacked = image::unpack(plain, made.get(), options);
    if (!unpacked) return std::unexpected(std::move(unpacked.error()).context(request_.keyword + " failed: " + source.name));
    return {};
  }

  const Tree& tree_;
  const CopyRequest& request_;
  const CopyPlan& plan_;
  Upper& upper_;
  const std::string& scratch_;
  std::string destination_;
  std::vector<Job> jobs_;
};

}  // namespace

Result<void> perform_copy(const Tree& tree, const CopyRequest& request, const CopyPlan& plan, Upper& upper, const std::string& scratch) {
  return Copier(tree, request, plan, upper, scratch).run();
}

Result<bool> is_archive(const Tree& tree, const std::string& path) {
  auto info = TRY(tree.look(path));
  if (!info || info->type != Type::file || info->size < 64) return false;
  std::string head = TRY(tree.read_head(path, 64 * 1024));
  if (head.starts_with("BZh") || head.starts_with(std::string_view("\xfd"
                                                                   "7zXZ",
                                                                   5)))
    return fail(Code::unsupported,
                "ADD failed: " + path + " is compressed by bzip2 or xz, which is not offered: use gzip or zstd, or COPY and RUN tar");
  image::StringSource bytes(head);
  image::Decompressor plain(bytes);
  char block[512];
  size_t have = 0;
  while (have < sizeof block) {
    auto n = plain.read({block + have, sizeof block - have});
    if (!n || *n == 0) break;
    have += *n;
  }
  if (have < sizeof block) return false;
  return std::string_view(block + 257, 5) == "ustar";
}

}  // namespace estiba::build
