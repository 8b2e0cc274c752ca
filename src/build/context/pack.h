// A directory as the tar that a build's client sends: sorted, without what .dockerignore names, made piece by piece as it is sent.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "build/context/ignore.h"

namespace estiba::build {

struct PackOptions {
  std::string directory;  ///< empty: the extra files alone
  IgnoreRules ignore;
  std::vector<std::pair<std::string, std::string>> extra;  ///< further files: name and content
};

/// Symlinks are sent as what they are; nothing is opened but regular files, so that a fifo or a device cannot hold anybody up. Sockets are
/// left out. Blocking.
class Packer {
 public:
  /// Lists the directory. A file that cannot be read is an error that names it.
  static Result<std::unique_ptr<Packer>> open(PackOptions options);
  virtual ~Packer() = default;
  /// The next piece, some hundred KiB; empty is the end.
  virtual Result<std::string> next() = 0;
  virtual size_t files() const = 0;
};

/// The rules for a build of `dockerfile` in `directory`: those of DOCKERFILE.dockerignore, else of .dockerignore; the Dockerfile and
/// .dockerignore themselves are always sent. `found` tells whether there was a file.
Result<IgnoreRules> read_ignore_rules(const std::string& directory, const std::string& dockerfile, bool* found = nullptr);

}  // namespace estiba::build
