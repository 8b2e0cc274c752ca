// A build context: a tar on disk that is read where it lies. Nothing of it is unpacked for COPY: its members are an index in memory,
// and their names and links mean only what they mean inside it, so that no member can reach anything else.
#pragma once
#include <map>
#include <memory>
#include <mutex>

#include "base/fd.h"
#include "build/context/ignore.h"
#include "build/context/tree.h"
#include "image/tar.h"

namespace estiba::build {

class TarTree final : public Tree {
 public:
  /// `file` is a seekable tar, plain or compressed by gzip or zstd (then it is decompressed to an unnamed file in `directory`).
  /// Refused, naming the member: "..", device nodes, what breaks the limits. Blocking.
  static Result<std::shared_ptr<TarTree>> open(Fd file, const std::string& directory, image::TarLimits limits = {});
  /// One without files.
  static std::shared_ptr<TarTree> empty();

  Result<std::optional<FileInfo>> look(const std::string& path) const override;
  Result<std::vector<std::string>> list(const std::string& path) const override;
  Result<std::string> digest(const std::string& path) const override;
  Result<void> copy_content(const std::string& path, int fd) const override;
  Result<std::string> read(const std::string& path, uint64_t limit) const override;
  Result<std::string> read_head(const std::string& path, size_t size) const override;

  /// Takes away what a .dockerignore names; clients do it as well, but not all. `keep` stays in any case.
  void leave_out(const IgnoreRules& rules);
  uint64_t bytes() const { return bytes_; }
  size_t files() const { return files_; }

 private:
  struct Node {
    FileInfo info;
    uint64_t offset = 0;
    mutable std::string digest;  // guarded by mutex_
    std::map<std::string, std::unique_ptr<Node>, std::less<>> children;
  };
  TarTree() { root_.info = {.type = FileInfo::Type::directory, .mode = 0755}; }
  Result<void> index(image::TarLimits limits);
  Result<Node*> add(image::TarEntry& entry, uint64_t offset);
  Node* find(std::string_view path) const;
  Result<const Node*> file(const std::string& path) const;
  static void prune(Node& node, const std::string& path, const IgnoreRules& rules);

  Fd file_;
  mutable Node root_;
  mutable std::mutex mutex_;
  uint64_t bytes_ = 0;
  size_t files_ = 0;
};

}  // namespace estiba::build
