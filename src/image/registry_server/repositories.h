// What the registry knows beside the content: which repository has which blobs, manifests and tags. The content itself lies
// in the content store (image/store.h), once for the registry, the engine and the cluster.
//
//   <data-dir>/registry/
//     lock                              held by the registry that serves this directory
//     repositories/<name>/
//       _blobs/<hex>                    empty; its time is when the blob was last pushed or asked for by a push
//       _manifests/<hex>                the media type that the manifest was pushed with
//       _tags/<tag>                     the digest of a manifest
//       _referrers/<hex>/<hex>          empty: the second manifest names the first as its subject
//
// Names of repositories have no '_' at a part's beginning, so these directories are never one. Every change is one file made
// by rename or removed, so whoever is killed leaves nothing broken: at worst a blob that nobody names, which goes later.
#pragma once
#include <chrono>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::image {

/// All calls block; any thread. Names, tags and digests must be valid (registry_server/route.h, digest.h).
class Repositories {
 public:
  explicit Repositories(const std::string& data_dir) : root_(data_dir + "/registry/repositories") {}

  bool exists(std::string_view repository) const;
  Result<std::vector<std::string>> names() const;  ///< sorted

  bool has_blob(std::string_view repository, std::string_view digest) const;
  /// Also renews the time of a blob that is there already.
  Result<void> link_blob(std::string_view repository, std::string_view digest);
  /// False when the repository does not have it.
  Result<bool> unlink_blob(std::string_view repository, std::string_view digest);
  /// Renews the time of a blob that a push relies on.
  void touch_blob(std::string_view repository, std::string_view digest) const;

  /// The media type of a manifest that the repository has.
  std::optional<std::string> manifest_type(std::string_view repository, std::string_view digest) const;
  /// `subject` may be empty. Durable when it returns, with the blobs linked before.
  Result<void> add_manifest(std::string_view repository, std::string_view digest, std::string_view type, std::string_view subject);
  /// Takes the manifest and its tags away; returns the tags. not_found when it is not there.
  Result<std::vector<std::string>> remove_manifest(std::string_view repository, std::string_view digest, std::string_view subject);
  Result<std::vector<std::string>> manifests(std::string_view repository) const;
  /// Digests of the manifests that name `subject`.
  Result<std::vector<std::string>> referrers(std::string_view repository, std::string_view subject) const;

  std::optional<std::string> tag(std::string_view repository, std::string_view tag) const;
  Result<std::vector<std::string>> tags(std::string_view repository) const;  ///< sorted
  Result<void> set_tag(std::string_view repository, std::string_view tag, std::string_view digest);
  Result<bool> remove_tag(std::string_view repository, std::string_view tag);

  /// Forgets blobs that are not in `needed` (digests) and whose time is older than `grace`; removes a repository that
  /// nothing is left of.
  Result<void> tidy(std::string_view repository, const std::set<std::string, std::less<>>& needed, std::chrono::seconds grace);

 private:
  std::string dir(std::string_view repository) const { return root_ + "/" + std::string(repository); }
  std::string root_;
  std::mutex writing_;  // one writer of a file at a time
};

/// The hex digits of every blob and manifest that a repository of the registry in this data directory has: the store's
/// collector keeps them. Empty where there is no registry.
Result<std::set<std::string, std::less<>>> registry_content(const std::string& data_dir);

}  // namespace estiba::image
