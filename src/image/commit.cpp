#include "image/commit.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/strings.h"
#include "image/tree_tar.h"
#include "model/json.h"
#include "os/file.h"

namespace estiba::image {

std::string Store::recipe_path(std::string_view digest) const { return root_ + "/recipes/sha256/" + std::string(hex_of(digest)); }

Result<std::optional<Store::Recipe>> Store::recipe(std::string_view digest) const {
  if (!valid_digest(digest)) return std::nullopt;
  auto text = os::read_file(recipe_path(digest));
  if (!text && text.error().sys == ENOENT) return std::nullopt;
  if (!text) return std::unexpected(text.error());
  const std::string what = "recipe of blob " + std::string(digest);
  json::Document doc = TRY_AS(what, json::Document::parse(*text));
  const json::Node* version = doc.root().find("version");
  if (!version || version->as_int() != 1) return fail(Code::unsupported, what + ": it was written by another version of Estiba");
  const json::Node* size = doc.root().find("size");
  const json::Node* root = doc.root().find("root");
  Recipe out{uint64_t(size ? size->as_int().value_or(0) : 0), std::string(doc.root().string_at("chain")), root && root->as_bool()};
  if (!valid_digest(out.chain)) return fail(Code::malformed, what + ": it names no layer");
  return out;
}

Result<void> Store::add_recipe(std::string_view digest, const Recipe& recipe) {
  json::Document doc;
  json::Node& root = doc.make_object();
  doc.set_root(root);
  doc.set(root, "version", doc.make_int(1));
  doc.set(root, "size", doc.make_int(int64_t(recipe.size)));
  doc.set(root, "chain", recipe.chain);
  doc.set(root, "root", doc.make_bool(recipe.root));
  Temporary place = TRY(temporary(false));
  TRY(os::write_all(place.held.get(), json::print(root)));
  TRY(note_unsynced("recipe", digest));
  return os::rename_file(place.path, recipe_path(digest));
}

namespace {
/// A file with its source.
class BlobSource final : public Source {
 public:
  BlobSource(Fd fd, uint64_t offset, uint64_t length) : fd_(std::move(fd)), source_(fd_.get(), offset, length) {}
  Result<size_t> read(std::span<char> buffer) override { return source_.read(buffer); }

 private:
  Fd fd_;
  FileSource source_;
};
}  // namespace

Result<std::unique_ptr<Source>> Store::open_layer_source(std::string_view digest, uint64_t offset) const {
  auto fd = open_blob(digest);
  if (fd) {
    uint64_t size = uint64_t(TRY(os::fstat_file(fd->get())).st_size);
    if (offset > size)
      return fail(Code::malformed,
                  "the offset lies " + std::to_string(offset - size) + " bytes behind the end of blob " + std::string(digest));
    return std::make_unique<BlobSource>(std::move(*fd), offset, size - offset);
  }
  if (fd.error().code != Code::not_found) return std::unexpected(fd.error());
  auto made = TRY(recipe(digest));
  if (!made) return std::unexpected(fd.error());
  auto tree = TRY_AS("blob " + std::string(digest), TreeTar::open(layer_path(made->chain), {.root = made->root}));
  TRY_AS("blob " + std::string(digest), tree->skip(offset));
  return tree;
}

/// The steps of commit_layer, with the store's own tools.
struct Committer {
  Store& store;
  const std::vector<std::string>& below;

  struct Place {
    std::string path;
    Fd held;
    bool wanted = true;
    ~Place() {
      if (wanted) (void)os::remove_all(path);
    }
  };

  /// Whether the root's own owner and mode differ from what is there without this layer.
  Result<bool> root_matters(const std::string& fs) const {
    auto info = TRY(os::lstat_file(fs));
    if (below.empty()) return info.st_uid != 0 || info.st_gid != 0 || (info.st_mode & 07777) != 0755;
    auto base = TRY(os::lstat_file(store.layer_path(below.back())));
    return info.st_uid != base.st_uid || info.st_gid != base.st_gid || (info.st_mode & 07777) != (base.st_mode & 07777);
  }

  Result<MadeLayer> run(const std::string& upper, const CommitOptions& options) {
    auto temporary = TRY(store.temporary(true));
    Place place{std::move(temporary.path), std::move(temporary.held)};
    const std::string fs = place.path + "/fs";
    if (options.take) TRY(os::rename_file(upper, fs));
    else TRY(copy_tree(upper, fs));
    if (options.epoch) TRY(clamp_times(fs, *options.epoch));
    bool root = TRY(root_matters(fs));
    MadeLayer out;
    uint64_t content = 0;
    {
      auto tree = TRY(TreeTar::open(fs, {.root = root}));
      HashingSource hashed(*tree);
      TRY(copy_all(hashed, nullptr));
      out.size = hashed.count();
      content = tree->content_bytes();
      out.diff_id = out.digest = hashed.digest();
    }
    out.chain = chain_id(below.empty() ? std::string_view() : std::string_view(below.back()), out.diff_id);
    const bool had_blob = store.has_blob(out.digest);
    if (!store.has_layer(out.chain) && TRY(store.place_layer(place.path, out.chain, content))) {
      place.wanted = false;  // it is the store's now
      if (!had_blob) TRY(store.add_recipe(out.digest, {out.size, out.chain, root}));
    } else if (!had_blob) {
      // The layer came here from elsewhere, compressed: its tree need not make these very bytes.
      auto tree = TRY(TreeTar::open(fs, {.root = root}));
      BlobWriter blob = TRY(store.new_blob());
      TRY(copy_all(*tree, &blob));
      TRY(blob.commit(out.digest));
    }
    if (std::exchange(place.wanted, false)) store.discard_soon({std::move(place.path), std::move(place.held)});
    return out;
  }
};

Result<MadeLayer> commit_layer(Store& store, const std::string& upper_dir, const std::vector<std::string>& below_chains,
                               const CommitOptions& options) {
  return within("commit layer", Committer{store, below_chains}.run(upper_dir, options));
}

Result<Record> make_image(Store& store, Config config, const Record* base, const std::vector<MadeLayer>& layers,
                          const std::vector<std::string>& tags) {
  Manifest manifest;
  config.diff_ids.clear();
  if (base) {
    manifest.layers = TRY(store.manifest(*base)).layers;
    config.diff_ids = TRY(store.config(base->id))->diff_ids;
  }
  for (const auto& layer : layers) {
    manifest.layers.push_back(layer.descriptor());
    config.diff_ids.push_back(layer.diff_id);
  }
  if (config.platform.architecture.empty()) config.platform = host_platform();
  std::string text = print_config(config);
  manifest.config = {std::string(media::oci_config), TRY(store.add_blob(text)), text.size(), {}, {}};
  std::string digest = TRY(store.add_blob(print_manifest(manifest)));
  Record record = TRY(store.add_image(digest, tags.empty() ? "" : tags[0], "", true));
  for (size_t i = 1; i < tags.size(); ++i) record = TRY(store.add_image(digest, tags[i], "", true));
  return record;
}

}  // namespace estiba::image
