// COPY and ADD: which files of a tree are meant, what they are (a digest for the cache), and writing them into a layer.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "build/context/tree.h"
#include "build/solve/upper.h"

namespace estiba::build {

struct CopyRequest {
  std::string keyword = "COPY";      ///< for errors
  std::vector<std::string> sources;  ///< expanded; may have wildcards
  std::string destination;           ///< expanded
  std::string working_dir = "/";
  std::optional<Owner> owner;
  std::optional<uint32_t> mode;
  bool keep_owner = false;  ///< of files from other stages and images; those of a context belong to root
  bool parents = false;
  bool unpack = false;  ///< ADD: an archive is unpacked
  std::vector<std::string> exclude;
  bool take = false;  ///< the tree's files may become the layer's own, since nothing writes to the layer any more
};

struct CopyItem {
  std::string source;    ///< path in the tree
  std::string relative;  ///< below its source; "" is the source itself
  FileInfo info;         ///< as it will be written: owner and mode are applied
};

struct CopySource {
  std::string name;  ///< what it is called in a destination directory; with --parents a path
  bool archive = false;
  std::vector<CopyItem> items;  ///< the source itself first, then what is below it, sorted
  std::string parents;          ///< with --parents: directories above the source, in the tree
};

struct CopyPlan {
  std::vector<CopySource> sources;
  std::string digest;  ///< of names, types, modes, owners, links and contents; not of times
};

/// Blocking. Errors are Docker's: "COPY failed: file not found in build context or excluded by .dockerignore: stat x: file does not exist".
Result<CopyPlan> plan_copy(const Tree& tree, const CopyRequest& request);
/// Blocking, on several threads of its own. `scratch` is a directory for mounts, when archives are unpacked; `work` on the upper's file
/// system.
Result<void> perform_copy(const Tree& tree, const CopyRequest& request, const CopyPlan& plan, Upper& upper, const std::string& scratch);

/// Whether a file begins as an archive that ADD unpacks does; refused when it is of a kind that is not offered (bzip2, xz).
Result<bool> is_archive(const Tree& tree, const std::string& path);

}  // namespace estiba::build
