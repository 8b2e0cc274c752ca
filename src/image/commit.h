// Making images here: a directory of changes becomes a layer, layers and a configuration become an image.
//
//   Fd adding = TRY(store.adding());                       // from the first layer until the image has its name
//   auto layer = TRY(commit_layer(store, upper, chains_below, {}));
//   auto record = TRY(make_image(store, config, base, {layer}, {"docker.io/library/web:1"}));
//
// A layer is stored once, as its unpacked tree. Its tar is a function of the tree (image/tree_tar.h) whose digest is computed
// here, once; a recipe beside the blobs says how to make it again:
//   recipes/sha256/<hex>   {"version":1,"size":<bytes of the tar>,"chain":"sha256:…","root":<a member "./" is in it>}
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "image/manifest.h"
#include "image/store.h"

namespace estiba::image {

struct MadeLayer {
  std::string diff_id;  ///< digest of the tar
  std::string digest;   ///< of the blob; the same, since layers made here are not compressed
  uint64_t size = 0;    ///< of the blob
  std::string chain;    ///< ChainID: where the unpacked layer is
  std::string media_type = std::string(media::oci_layer);
  Descriptor descriptor() const { return {media_type, digest, size, {}, {}}; }
};

struct CommitOptions {
  /// The directory itself becomes the layer, by a rename, and is gone (also on failure); it must be on the store's file system
  /// and not be mounted any more. False copies it, so that a container may go on: hold it still meanwhile.
  bool take = true;
  /// No time in the layer is later than this (SOURCE_DATE_EPOCH), in seconds.
  std::optional<int64_t> epoch;
};

/// The layer that an overlay's upper directory is, on top of the layers `below` (ChainIDs, lowest first; may be empty).
/// Whoever calls holds Store::adding(). Blocking. Errors name the file that cannot be in an image.
Result<MadeLayer> commit_layer(Store& store, const std::string& upper_dir, const std::vector<std::string>& below_chains,
                               const CommitOptions& options = {});

/// An image of the layers of `base` (null: none) and those on top. `config.diff_ids` is set from them; `tags` are
/// canonical names ("docker.io/library/web:1") and may be empty: the image then stays under its id, as Docker's does.
/// Whoever calls holds Store::adding(). Blocking.
Result<Record> make_image(Store& store, Config config, const Record* base, const std::vector<MadeLayer>& layers,
                          const std::vector<std::string>& tags);

}  // namespace estiba::image
