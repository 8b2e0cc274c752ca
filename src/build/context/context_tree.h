// A build context: an index in memory of what the client sent or offered. Names and links mean only what they mean inside it, so that no
// member can reach anything else. Contents lie in the build's own files (contents.h), or still where the client has them: then a file that
// is no longer what it was when the build began is an error, never a wrong layer.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "base/fd.h"
#include "build/context/contents.h"
#include "build/context/digest_cache.h"
#include "build/context/ignore.h"
#include "build/context/tree.h"
#include "image/tar.h"

namespace estiba::build {

class ContextTree final : public Tree {
 public:
  /// One without files.
  static std::shared_ptr<ContextTree> empty();
  /// Of a tar, plain or compressed by gzip or zstd, as it comes: contents are hashed on their way to `directory`. Refused, naming the
  /// member:
  /// "..", device nodes, what breaks the limits. Blocking.
  static Result<std::shared_ptr<ContextTree>> from_tar(image::Source& archive, const std::string& directory, image::TarLimits limits = {});

  struct Outside {
    Fd root;  ///< the directory
    IgnoreRules ignore;
    std::vector<std::pair<std::string, std::string>> extra;  ///< further files: name and content
    std::shared_ptr<DigestCache> digests;
    int64_t now_ns = 0;  ///< the time, to tell which files are fresh
  };
  /// Of a directory on this machine, which is only listed; `directory` is for settle(). Blocking.
  static Result<std::shared_ptr<ContextTree>> from_directory(Outside outside, const std::string& directory);

  Result<std::optional<FileInfo>> look(const std::string& path) const override;
  Result<std::vector<std::string>> list(const std::string& path) const override;
  Result<std::string> digest(const std::string& path) const override;
  Result<void> copy_content(const std::string& path, int fd) const override;
  Result<std::string> read(const std::string& path, uint64_t limit) const override;
  Result<std::string> read_head(const std::string& path, size_t size) const override;
  bool give_content(const std::string& path, const std::string& target) const override;

  /// Takes away what a .dockerignore names; clients do it as well, but not all. `keep` stays in any case. Call before others read.
  void leave_out(const IgnoreRules& rules);
  /// Takes in what still lies with the client, so that it may change from now on. Blocking.
  Result<void> settle();
  size_t files() const { return files_; }

 private:
  struct Node {
    FileInfo info;
    ContentPlace place;
    std::unique_ptr<FileIdentity> outside;  // of a file that is still the client's
    std::string digest;
    std::map<std::string, std::unique_ptr<Node>, std::less<>> children;
  };
  /// A file that is being read.
  struct Reading {
    OpenContent content;
    uint64_t size = 0;
    std::optional<FileIdentity> outside;
  };
  ContextTree() { root_.info = {.type = FileInfo::Type::directory, .mode = 0755}; }

  // tar_context.cpp
  Result<void> index(image::TarReader& reader, const bool& archive_ended);
  Result<Node*> add(image::TarEntry& entry);
  Result<Node*> make(std::string_view path);

  // directory_context.cpp
  Result<void> list_outside(const IgnoreRules& rules);
  Result<void> add_extra(const std::string& name, std::string_view content);
  Result<void> settle_below(Node& node, const std::string& path, std::vector<std::pair<Node*, ContentPlace>>& taken);

  Node* find(std::string_view path) const;
  Result<Node*> file(const std::string& path) const;
  Result<Reading> open(const std::string& path) const;
  Result<void> check(const Reading& reading, const std::string& path) const;
  Result<std::string> hash(const std::string& path) const;
  static void prune(Node& node, const std::string& path, const IgnoreRules& rules);

  std::string directory_;
  std::unique_ptr<Contents> contents_;
  Fd outside_;  // the client's directory
  std::shared_ptr<DigestCache> digests_;
  int64_t now_ns_ = 0;
  mutable Node root_;
  mutable std::mutex digest_mutex_;        // guards the nodes' digests
  mutable std::shared_mutex place_mutex_;  // guards the nodes' places
  std::mutex settle_mutex_;                // one settles at a time
  size_t files_ = 0;
};

}  // namespace estiba::build
