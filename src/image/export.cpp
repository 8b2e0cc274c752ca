#include <set>

#include "base/strings.h"
#include "image/archive.h"
#include "image/reference.h"
#include "image/tar.h"
#include "model/json.h"

namespace estiba::image {
namespace {

class Exporter {
 public:
  Exporter(Store& store, ExportFormat format, Sink& sink) : store_(store), format_(format), tar_(sink) {}

  Result<void> run(const std::vector<std::string>& names) {
    json::Node& list = docker_.make_array();
    docker_.set_root(list);
    for (const auto& name : names) {
      auto record = TRY(store_.find(name));
      if (!record) return fail(Code::not_found, "image " + name + " is not here");
      TRY_AS("export " + name, image(name, *record));
    }
    if (format_ == ExportFormat::oci) {
      TRY(tar_.file("index.json", print_index(index_)));
      TRY(tar_.file("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}"));
    }
    TRY(tar_.file("manifest.json", json::print(docker_.root())));
    return tar_.finish();
  }

 private:
  Result<void> image(const std::string& name, const Record& record) {
    Manifest manifest = TRY(store_.manifest(record));
    // By its own name when it is asked for by name, by all its names when by id.
    std::vector<std::string> tags = record.tags;
    if (auto ref = parse_reference(name); ref && !ref->tag.empty()) tags = {ref->name() + ":" + ref->tag};
    json::Node& entry = docker_.append(docker_.root(), docker_.make_object());
    docker_.set(entry, "Config", config_name(record.id));
    json::Node& repo_tags = docker_.set(entry, "RepoTags", docker_.make_array());
    for (const auto& tag : tags)
      docker_.append(repo_tags, docker_.make_string(tag.starts_with("docker.io/") ? TRY(parse_reference(tag)).familiar() : tag));
    json::Node& layers = docker_.set(entry, "Layers", docker_.make_array());
    TRY(blob(config_name(record.id), record.id));
    auto config = TRY(store_.config(record.id));
    for (size_t i = 0; i < manifest.layers.size(); ++i) {
      const Descriptor& layer = manifest.layers[i];
      std::string file = format_ == ExportFormat::oci ? blob_name(layer.digest) : std::string(hex_of(config->diff_ids[i])) + ".tar";
      docker_.append(layers, docker_.make_string(file));
      TRY(format_ == ExportFormat::oci ? blob(file, layer.digest) : plain_layer(file, layer.digest));
    }
    if (format_ == ExportFormat::docker) return {};
    TRY(blob(blob_name(record.manifest), record.manifest));
    Descriptor d{manifest.media_type, record.manifest, TRY(store_.blob_size(record.manifest)), config->platform, {}};
    for (const auto& tag : tags) {
      d.annotations["io.containerd.image.name"] = tag;
      d.annotations["org.opencontainers.image.ref.name"] = TRY(parse_reference(tag)).tag;
      index_.manifests.push_back(d);
    }
    if (tags.empty()) index_.manifests.push_back(d);
    return {};
  }

  static std::string blob_name(std::string_view digest) { return "blobs/sha256/" + std::string(hex_of(digest)); }
  std::string config_name(std::string_view id) const {
    return format_ == ExportFormat::oci ? blob_name(id) : std::string(hex_of(id)) + ".json";
  }

  Result<void> blob(const std::string& name, std::string_view digest) {
    if (!written_.insert(name).second) return {};
    auto source = TRY(store_.open_layer_source(digest));
    return member(name, *source, TRY(store_.blob_size(digest)));
  }

  /// The layer without its compression; its size must be known first, so it is read twice.
  Result<void> plain_layer(const std::string& name, std::string_view digest) {
    if (!written_.insert(name).second) return {};
    uint64_t size = 0;
    for (bool measured : {false, true}) {
      auto source = TRY(store_.open_layer_source(digest));
      Decompressor plain(*source);
      if (measured) return member(name, plain, size);
      size = TRY(copy_all(plain, nullptr));
    }
    return {};
  }

  Result<void> member(const std::string& name, Source& source, uint64_t size) {
    struct Content final : Sink {
      TarWriter& tar;
      explicit Content(TarWriter& t) : tar(t) {}
      Result<void> write(std::string_view bytes) override { return tar.content(bytes); }
    } content(tar_);
    TRY(tar_.begin({.name = name, .mode = 0444, .size = size}));
    TRY(copy_all(source, &content));
    return tar_.end();
  }

  Store& store_;
  ExportFormat format_;
  TarWriter tar_;
  Index index_;
  json::Document docker_;
  std::set<std::string> written_;
};

}  // namespace

Result<void> export_images(Store& store, const std::vector<std::string>& names, ExportFormat format, Sink& sink) {
  return Exporter(store, format, sink).run(names);
}

}  // namespace estiba::image
