// Lists what a build's context directory has, without what .dockerignore names.
#pragma once
#include <sys/stat.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "build/context/ignore.h"

namespace estiba::build {

struct WalkedFile {
  std::string path;  ///< relative to the context
  struct stat st;    ///< of a symlink itself
};

/// Below the open directory `root`, a directory before what is in it, names sorted. Sockets are left out; a directory that is ignored comes
/// along when something in it is kept. Blocking. Errors: "error checking context: …" with the path.
Result<std::vector<WalkedFile>> walk_context(int root, const IgnoreRules& rules);

}  // namespace estiba::build
