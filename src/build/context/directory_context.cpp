// A context that is a directory of this machine, which is read where it lies.
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/strings.h"
#include "build/context/context_tree.h"
#include "build/context/walk.h"
#include "image/digest.h"

namespace estiba::build {
namespace {

using Type = FileInfo::Type;

/// As it would stand in a client's tar: whole seconds, no extended attributes.
Result<FileInfo> info_of(int root, const WalkedFile& file) {
  const struct stat& st = file.st;
  FileInfo out{.mode = st.st_mode & 07777u, .uid = st.st_uid, .gid = st.st_gid, .mtime = st.st_mtim.tv_sec};
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
    return fail(Code::invalid, "error checking context: " + quoted(file.path) + ": a device node cannot be in a build context");
  out.type = S_ISDIR(st.st_mode) ? Type::directory : S_ISLNK(st.st_mode) ? Type::symlink : S_ISFIFO(st.st_mode) ? Type::fifo : Type::file;
  if (out.type == Type::file) out.size = uint64_t(st.st_size);
  if (out.type != Type::symlink) return out;
  char target[4096];
  const ssize_t n = ::readlinkat(root, file.path.c_str(), target, sizeof target);
  if (n < 0) return fail_errno("error checking context: can't read the link " + quoted(file.path));
  out.link.assign(target, size_t(n));
  return out;
}

}  // namespace

Result<std::shared_ptr<ContextTree>> ContextTree::from_directory(Outside outside, const std::string& directory) {
  auto out = empty();
  out->contents_ = TRY(Contents::open(directory));
  out->outside_ = std::move(outside.root);
  out->digests_ = std::move(outside.digests);
  out->now_ns_ = outside.now_ns;
  TRY(out->list_outside(outside.ignore));
  for (const auto& [name, content] : outside.extra) TRY(out->add_extra(name, content));
  return out;
}

Result<void> ContextTree::list_outside(const IgnoreRules& rules) {
  for (const WalkedFile& file : TRY(walk_context(outside_.get(), rules))) {
    Node* node = TRY(make(file.path));
    node->info = TRY(info_of(outside_.get(), file));
    if (node->info.size > 0) node->outside = std::make_unique<FileIdentity>(identity_of(file.st));
    ++files_;
  }
  return {};
}

Result<void> ContextTree::add_extra(const std::string& name, std::string_view content) {
  Node* node = TRY(make(clean_path(name)));
  node->info = {.mode = 0644, .size = content.size()};
  node->digest = image::digest_of(content);
  node->place = TRY(contents_->add(content.size()));
  TRY(contents_->write(content));
  ++files_;
  return contents_->finish();
}

Result<void> ContextTree::settle() {
  std::lock_guard one_at_a_time(settle_mutex_);
  std::vector<std::pair<Node*, ContentPlace>> taken;
  TRY(settle_below(root_, "", taken));
  if (taken.empty()) return {};
  TRY(contents_->finish());
  std::unique_lock lock(place_mutex_);
  for (auto& [node, place] : taken) {
    node->place = place;
    // What was taken in counts, should a fresh file have changed unseen.
    if (std::lock_guard digests(digest_mutex_); is_fresh(*node->outside, now_ns_)) node->digest.clear();
    node->outside.reset();
  }
  return {};
}

Result<void> ContextTree::settle_below(Node& node, const std::string& path, std::vector<std::pair<Node*, ContentPlace>>& taken) {
  if (node.outside) {
    Reading reading = TRY(open(path));
    const ContentPlace place = TRY(contents_->add(reading.size));
    TRY_AS(quoted(path), contents_->write_from(reading.content.fd, reading.size));
    TRY(check(reading, path));
    taken.emplace_back(&node, place);
  }
  for (auto& [name, child] : node.children) TRY(settle_below(*child, path.empty() ? name : path + "/" + name, taken));
  return {};
}

}  // namespace estiba::build
