// A layer's tree as its tar: a deterministic function of the tree, so that a layer that was made here needs no second copy
// on disk. The tree is what overlayfs keeps in an upper directory: its whiteouts (character devices 0:0) and opaque
// directories (trusted.overlay.opaque) become the ".wh." members of image-spec, layer.md.
//
// Format 1, which must never change (recipes name it): pax; members in the order of a walk that sorts each directory's
// names by their bytes, a directory before what is in it, its opaque mark right behind it; numeric owners without names;
// times in whole seconds; extended attributes as SCHILY.xattr in the order of their names, without overlayfs's own and
// those of security modules that label files anew; further links of a file as hard links to the first; sparse files with
// their zeros; sockets left out; the root only when asked.
#pragma once
#include <sys/stat.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "image/stream.h"
#include "image/tar.h"
#include "os/file.h"

namespace estiba::image {

struct TreeTarOptions {
  bool root = false;  ///< with a member "./" for the root's owner and mode
};

class TreeTar final : public Source {
 public:
  /// `tree` must not change while it is read; what changes all the same is an error.
  static Result<std::unique_ptr<TreeTar>> open(const std::string& tree, TreeTarOptions options = {});
  Result<size_t> read(std::span<char> buffer) override;
  /// Goes on `count` bytes without reading files. Past the end is malformed.
  Result<void> skip(uint64_t count);
  /// Of all files so far.
  uint64_t content_bytes() const { return content_; }

 private:
  struct Level {
    std::vector<std::string> names;  // sorted
    size_t next = 0;
    size_t prefix = 0;  // length of prefix_ outside of it
    dev_t device = 0;
    ino_t inode = 0;
  };
  class Pending final : public Sink {
   public:
    std::string text;
    Result<void> write(std::string_view bytes) override {
      text += bytes;
      return {};
    }
  };

  TreeTar(Fd dir, TreeTarOptions options) : options_(options), dir_(std::move(dir)), writer_(pending_) {}
  Result<void> enter();
  Result<void> leave();
  /// Makes more output: headers in pending_, or an open file_. False at the end.
  Result<bool> advance();
  Result<void> member(const std::string& name);
  Result<void> directory(const std::string& name, const struct stat& info);
  Result<void> file(const std::string& name, const struct stat& info);
  Result<void> special(const std::string& name, const struct stat& info);
  Result<void> put(const TarEntry& entry);
  void close_file();

  TreeTarOptions options_;
  Fd dir_;  // of levels_.back()
  std::vector<Level> levels_;
  std::string prefix_;  // "a/b/"
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  Pending pending_;
  size_t taken_ = 0;  // of pending_.text
  TarWriter writer_;
  Fd file_;
  uint64_t file_offset_ = 0, file_size_ = 0;
  std::string file_name_;
  uint64_t content_ = 0;
  bool started_ = false, finished_ = false;
};

/// Sets every time in the tree that is later than `epoch` (seconds) to it (SOURCE_DATE_EPOCH).
Result<void> clamp_times(const std::string& tree, int64_t epoch);
/// Copies a tree with all that a layer has: owners, modes, times, links, whiteouts, attributes; `to` must not exist. Files share
/// their blocks where the file system can. What disappears meanwhile is left out.
Result<void> copy_tree(const std::string& from, const std::string& to);

}  // namespace estiba::image
