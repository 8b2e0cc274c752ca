// The content store: blobs by digest, layers unpacked once, and the index of what images are here.
//
//   <data-dir>/images/
//     index.json              the images: id, manifest, names (see IndexFile below); replaced as a whole
//     index.lock              flock: held while index.json is read, changed and replaced
//     content.lock            flock: shared by who adds content, exclusive for garbage collection
//     blobs/sha256/<hex>      manifests, indexes, configurations and layers as they were distributed (mode 0444)
//     layers/<chain hex>/     a layer unpacked on top of those below it, by its ChainID
//       fs/                   what overlayfs mounts; whiteouts are overlayfs's own
//       size                  bytes of its files, decimal
//     recipes/sha256/<hex>    instead of a blob: how its bytes are made from an unpacked layer (image/commit.h)
//     pins/<owner>            digests of blobs and ChainIDs, one a line, that the collector leaves: the build cache's
//     unsynced/<what>-<hex>   what is in place but perhaps not on disk yet; a symlink to this boot's id (see below)
//     partial/<hex>           what has been downloaded of a blob; its writer holds an flock on it; kept for a day
//     tmp/<random>            under construction; its maker holds an flock on it, so a stale one can be told
//   <data-dir>/containers/<id>/
//     image                   the id of the image that this container uses: keeps it from garbage collection
//
// Safe for several processes and threads at a time: blobs and layers appear by rename, complete, and never change; the
// index is only changed under its lock and read again when the file has changed. Nobody waits for the disk: what appears is
// noted in unsynced/ first, and the note goes after a sync in the background. A power cut leaves notes of another boot; what
// they name is not trusted and goes, with the images that need it, when the store is opened next. Whoever needs an image for a
// container first writes the container's `image` file and then looks the image up; the collector reads those files after
// it has taken names away; so one of them sees the other.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/function.h"
#include "base/result.h"
#include "image/manifest.h"
#include "image/stream.h"
#include "image/tar.h"

namespace estiba::image {

/// An image that is here, whole: manifest, configuration and layers are in the store.
struct Record {
  std::string id;                    ///< digest of the configuration
  std::string manifest;              ///< digest of the manifest
  uint64_t size = 0;                 ///< manifest, configuration and compressed layers, bytes
  std::string imported;              ///< RFC 3339
  std::vector<std::string> tags;     ///< "docker.io/library/nginx:1.29"
  std::vector<std::string> digests;  ///< "docker.io/library/nginx@sha256:…", of what the registry served
  std::string tagged;                ///< RFC 3339: when a tag was last given; may be empty
  bool kept = false;                 ///< stays without a name, until it is removed by id or pruned (Docker's way)
};

/// A container (or a pod's) that uses an image.
struct ImageUser {
  std::string container, image;  ///< ids
};

struct Removed {
  std::vector<std::string> untagged;  ///< names that are gone
  bool deleted = false;               ///< the image itself is gone as well
  uint64_t freed = 0;                 ///< bytes of blobs
};

/// A layer's diff id, and how many of the bytes of its blob have been unpacked.
using LayerProgress = std::function<void(std::string_view layer, uint64_t current, uint64_t total)>;

class Store;

/// A blob on its way into the store. Dropping it without commit() leaves nothing, except of resume_blob().
class BlobWriter final : public Sink {
 public:
  BlobWriter(BlobWriter&&) noexcept = default;
  ~BlobWriter() override;
  Result<void> write(std::string_view bytes) override;
  uint64_t size() const { return size_; }
  /// Where it is written; gone after commit().
  const std::string& path() const { return path_; }
  /// Syncs and moves the blob into place; returns its digest. When `expected` is given and differs: malformed, naming both.
  Result<std::string> commit(std::string_view expected = {});

 private:
  friend class Store;
  BlobWriter(Store& store, Fd fd, std::string path) : store_(&store), fd_(std::move(fd)), path_(std::move(path)) {}
  Store* store_;
  Fd fd_;
  std::string path_;
  Sha256 hash_;
  uint64_t size_ = 0;
  bool stays_ = false;  // the file, without commit()
};

class Store {
 public:
  ~Store();
  /// Makes the tree when it is missing.
  static Result<std::unique_ptr<Store>> open(std::string data_dir);

  // Blobs. All blocking; any thread.
  /// As a file or by a recipe.
  bool has_blob(std::string_view digest) const;
  std::string blob_path(std::string_view digest) const;
  /// Only for what is never a layer made here (manifests, configurations); else open_layer_source.
  Result<Fd> open_blob(std::string_view digest) const;
  Result<uint64_t> blob_size(std::string_view digest) const;
  /// Any blob's bytes from `offset` on: a layer that was made here is written again from its tree.
  Result<std::unique_ptr<Source>> open_layer_source(std::string_view digest, uint64_t offset = 0) const;
  /// A small blob as text, its digest verified.
  Result<std::string> read_blob(std::string_view digest, uint64_t limit = 8 << 20) const;
  Result<BlobWriter> new_blob();
  /// Goes on with a blob in the file `path` (made when it is missing) of the same file system; the file stays when the writer is dropped.
  /// What it holds already is read and hashed.
  Result<BlobWriter> resume_blob(std::string path);
  /// A blob that is downloaded, in partial/<hex>: what an earlier process received of it is there already (size() says how much). A second
  /// writer at a time gets a new blob.
  Result<BlobWriter> partial_blob(std::string_view digest, uint64_t size);
  /// Returns the digest.
  Result<std::string> add_blob(std::string_view text);
  /// Held while content is added, from the first blob until the index names it: keeps the collector away.
  Result<Fd> adding();
  /// Replaces what `owner` (a file name) keeps from the collector: digests of blobs and ChainIDs.
  Result<void> pin(const std::string& owner, const std::vector<std::string>& digests);
  /// Syncs what has been added since, on a thread of its own; destroying the store waits for it.
  void settle_soon();
  /// The same, and waits.
  Result<void> settle();

  // Layers.
  std::string layer_path(std::string_view chain) const;  ///< ".../layers/<hex>/fs"
  bool has_layer(std::string_view chain) const;
  /// Unpacks what is missing of an image's layers, from its blobs; verifies the diff ids.
  Result<void> unpack_layers(const Manifest& manifest, const Config& config, const LayerProgress& progress = {}, TarLimits limits = {});
  /// One step of it: unpacks `tar` (uncompressed) on top of `below` (ChainIDs, lowest first), and returns its digest (the
  /// diff id). `expected` as in BlobWriter::commit; with `known` the caller sees to it that `tar` has that digest: its end fails otherwise.
  Result<std::string> unpack_layer(Source& tar, const std::vector<std::string>& below, std::string_view expected, bool whiteouts = true,
                                   TarLimits limits = {}, bool known = false);
  /// Paths of an image's unpacked layers, lowest first.
  std::vector<std::string> layer_paths(const Config& config) const;

  // Images.
  /// Enters a complete image (all blobs and layers there) under a name, which moves if another image had it. `tag` and
  /// `digest` may be empty. With `kept` the image stays when its last name moves to another.
  Result<Record> add_image(std::string_view manifest_digest, std::string_view tag, std::string_view digest, bool kept = false);
  /// By id, unique prefix of an id (12 digits or more), or reference.
  Result<std::optional<Record>> find(std::string_view name);
  Result<std::vector<Record>> list();
  Result<Manifest> manifest(const Record& record) const;
  /// Kept in memory once read.
  Result<std::shared_ptr<const Config>> config(std::string_view id);
  /// Takes a tag, a digest or (by id) all names away, and the image with the last of them. An image that a container uses stays until the
  /// container is gone (conflict when asked by id, unless `force`). not_found when there is none.
  Result<Removed> remove(std::string_view name, bool force = false);
  /// Deletes nameless unused images that are not kept, blobs and layers that no image and no pin has, and stale temporary
  /// files. Does nothing while anybody adds content (`*done` says so). Returns the bytes freed.
  Result<uint64_t> collect(bool* done = nullptr);

  // Containers.
  /// Notes that container `id` uses the image, and makes sure that it is here.
  Result<Record> use(std::string_view container_id, std::string_view name);
  std::string container_dir(std::string_view container_id) const { return data_dir_ + "/containers/" + std::string(container_id); }
  /// Images in use, by id.
  Result<std::vector<std::string>> used() const;
  Result<std::vector<ImageUser>> users() const;

  // As Docker's API handles names: images stay when they have lost the last one.
  /// As find(), or by any unique prefix of an id. For people; never for what a pod asks for.
  Result<std::optional<Record>> find_short(std::string_view name);
  /// Gives an image (by id) a canonical name; another image loses it.
  Result<Record> tag(std::string_view id, const std::string& name);
  /// Takes tags and digests away; the image stays.
  Result<Record> untag(std::string_view id, const std::vector<std::string>& names);
  /// Notes what a registry calls it: "docker.io/library/nginx@sha256:…".
  Result<Record> add_digest(std::string_view id, const std::string& digest);
  /// Takes all names away and lets the image go: the next collect() takes it, unless a container uses it.
  Result<void> forget(std::string_view id);
  /// Bytes of the files in a layer.
  Result<uint64_t> layer_size(std::string_view chain);
  /// The same of all layers of an image: what Docker calls its size.
  Result<uint64_t> unpacked_size(const Config& config);

  const std::string& data_dir() const { return data_dir_; }

 private:
  friend class BlobWriter;
  friend struct Committer;
  struct Recipe {
    uint64_t size = 0;
    std::string chain;
    bool root = false;
  };
  struct IndexFile {
    std::vector<Record> images;
    uint64_t inode = 0, mtime_ns = 0;
  };
  struct Temporary {
    std::string path;
    Fd held;  // directory or file, flocked
  };
  explicit Store(std::string data_dir);
  Result<Temporary> temporary(bool directory);
  Result<std::shared_ptr<const IndexFile>> index();
  Result<std::shared_ptr<const IndexFile>> load_index() const;
  Result<void> save_index(const IndexFile& index);
  Result<Record> change_record(std::string_view id, UniqueFunction<void(Record&, std::vector<Record>&)> change);
  Result<BlobWriter> go_on(Fd fd, std::string path);
  Result<void> sweep_temporaries();
  /// Removes a finished tree that nobody needs, on the settler's thread: it may have many files.
  void discard_soon(Temporary unneeded);
  /// Removes the spare roots (engine/spare_roots.h) of images that are not in `index`.
  Result<void> sweep_spare_roots(const IndexFile& index) const;
  Result<uint64_t> sweep(const IndexFile& index);
  Result<std::optional<Recipe>> recipe(std::string_view digest) const;
  Result<void> add_recipe(std::string_view digest, const Recipe& recipe);
  std::string recipe_path(std::string_view digest) const;
  /// Before `what` ("blob", "layer", "recipe") of that digest gets its name.
  Result<void> note_unsynced(std::string_view what, std::string_view digest);
  std::string noted_path(std::string_view note) const;
  /// Takes away what a power cut may have left half written.
  Result<void> repair();
  /// Moves a finished layer directory, whose files have `size` bytes, to its place; false when the layer is there already.
  Result<bool> place_layer(const std::string& from, std::string_view chain, uint64_t size);

  std::string data_dir_, root_, boot_;
  std::mutex mutex_;
  std::thread settler_;  // guarded by settling_
  std::mutex settling_;
  bool settle_wanted_ = false, settle_runs_ = false;                           // guarded by settling_
  std::vector<Temporary> discarded_;                                           // guarded by settling_
  std::shared_ptr<const IndexFile> cached_;                                    // guarded by mutex_
  std::map<std::string, std::shared_ptr<const Config>, std::less<>> configs_;  // guarded by mutex_
  std::map<std::string, uint64_t, std::less<>> sizes_;                         // of layers; guarded by mutex_
};

}  // namespace estiba::image
