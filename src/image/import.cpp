#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "base/time.h"
#include "image/archive.h"
#include "image/archive_files.h"
#include "image/reference.h"
#include "model/json.h"
#include "os/file.h"

namespace estiba::image {
namespace {

/// One image of an archive: what has been put into the store, not yet in the index.
struct Found {
  std::string manifest;            ///< digest
  std::vector<std::string> names;  ///< as the archive says
};

std::string layer_media_type(Compression compression) {
  std::string type(media::oci_layer);
  if (compression == Compression::gzip) type += "+gzip";
  if (compression == Compression::zstd) type += "+zstd";
  return type;
}

Result<Compression> compression_of(int fd) {
  char head[4] = {};
  if (::pread(fd, head, sizeof head, 0) < 0) return fail_errno("read");
  if (head[0] == '\x1f' && head[1] == '\x8b') return Compression::gzip;
  if (std::string_view(head, 4) == "\x28\xb5\x2f\xfd") return Compression::zstd;
  return Compression::none;
}

class Importer {
 public:
  Importer(Store& store, const ImportOptions& options) : store_(store), options_(options) {}

  Result<std::vector<Record>> run(const std::string& path) {
    if (!options_.name.empty()) name_ = TRY(parse_reference(options_.name));
    if (!name_.digest.empty()) return fail(Code::invalid, "the name of an imported image cannot have a digest; give NAME:TAG");
    Fd adding = TRY(store_.adding());
    if (path != "-" && S_ISDIR(TRY(os::stat_file(path)).st_mode)) {
      ArchiveFiles files = TRY(ArchiveFiles::directory(path));
      if (!files.has("index.json")) return fail(Code::invalid, "the directory is no OCI layout: it has no index.json");
      return records(TRY(archive(files)));
    }
    Fd file = TRY(input(path));
    if (!TRY(is_image_archive(file.get()))) return std::vector{TRY(rootfs(std::move(file)))};
    return records(TRY(archive(TRY(files_of(std::move(file))))));
  }

  Result<std::vector<Loaded>> load(Fd file) {
    Fd adding = TRY(store_.adding());
    if (!TRY(is_image_archive(file.get())))
      return fail(Code::invalid,
                  "the archive has no images: neither index.json nor manifest.json is in it; use import for a root file system");
    return archive(TRY(files_of(std::move(file))));
  }

  Result<Record> root(Fd file) {
    if (!options_.name.empty()) name_ = TRY(parse_reference(options_.name));
    Fd adding = TRY(store_.adding());
    return rootfs(std::move(file));
  }

 private:
  Result<Fd> scratch() { return within("temporary file", os::open_file(store_.data_dir() + "/images/tmp", O_RDWR | O_TMPFILE, 0600)); }

  /// A seekable file of the archive's bytes.
  Result<Fd> input(const std::string& path) {
    if (path != "-") {
      Fd file = TRY(os::open_file(path, O_RDONLY));
      if (::lseek(file.get(), 0, SEEK_CUR) >= 0) return file;
      return spooled(file.get());
    }
    return spooled(STDIN_FILENO);
  }
  Result<Fd> spooled(int fd) {
    Fd out = TRY(scratch());
    FileSource source(fd);
    FileSink sink(out.get());
    TRY(copy_all(source, &sink, options_.limits.total_bytes));
    if (::lseek(out.get(), 0, SEEK_SET) < 0) return fail_errno("lseek");
    return out;
  }
  Result<Fd> decompressed(Fd file) {
    Fd out = TRY(scratch());
    FileSource source(file.get());
    Decompressor plain(source);
    FileSink sink(out.get());
    TRY(copy_all(plain, &sink, options_.limits.total_bytes));
    return out;
  }

  /// By the name of the first member that is not the top directory. Leaves the file at its start.
  Result<bool> is_image_archive(int fd) {
    FileSource source(fd);
    Decompressor plain(source);
    TarReader tar(plain, options_.limits);
    std::string name;
    for (;;) {
      auto entry = TRY(tar.next());
      if (!entry) break;
      name = entry->name;
      while (name.starts_with("./")) name.erase(0, 2);
      if (!name.empty() && name != ".") break;
    }
    if (::lseek(fd, 0, SEEK_SET) < 0) return fail_errno("lseek");
    std::string_view first = split_once(name, '/').first;
    if (first == "oci-layout" || first == "index.json" || first == "manifest.json" || first == "repositories" || first == "blobs")
      return true;
    if (first.ends_with(".json")) first.remove_suffix(5);
    if (first.ends_with(".tar")) first.remove_suffix(4);
    if (first.starts_with("sha256:")) first.remove_prefix(7);
    return first.size() == 64 && first.find_first_not_of("0123456789abcdef") == first.npos;
  }

  Result<ArchiveFiles> files_of(Fd file) {
    if (TRY(compression_of(file.get())) != Compression::none) file = TRY(decompressed(std::move(file)));
    return ArchiveFiles::tar(std::move(file), options_.limits);
  }

  static std::vector<Record> records(std::vector<Loaded> loaded) {
    std::vector<Record> out;
    for (auto& image : loaded) out.push_back(std::move(image.record));
    return out;
  }

  Result<std::vector<Loaded>> archive(const ArchiveFiles& files) {
    bool oci = files.has("index.json");
    std::vector<Found> found = TRY(oci ? oci_layout(files) : docker_archive(files));
    if (found.empty())
      return fail(Code::not_found, "the archive has no image for " + options_.platform.os + "/" + options_.platform.architecture);
    if (found.size() > 1 && !options_.name.empty())
      return fail(Code::invalid,
                  "the archive has " + std::to_string(found.size()) + " images; leave NAME:TAG away to keep their own names");
    for (const auto& image : found)
      if (options_.name.empty() && image.names.empty() && !options_.nameless)
        return fail(Code::invalid, "the archive does not say what the image is called; give NAME:TAG");
    std::vector<Loaded> out;
    for (auto& image : found) out.push_back(TRY(enter(image)));
    return out;
  }

  Result<Loaded> enter(const Found& image) {
    Manifest manifest = TRY(parse_manifest(TRY(store_.read_blob(image.manifest))));
    auto config = TRY(store_.config(manifest.config.digest));
    TRY(store_.unpack_layers(manifest, *config, options_.progress, options_.limits));
    Loaded out;
    out.names = options_.name.empty() ? image.names : std::vector{name_.text()};
    if (out.names.empty()) out.record = TRY(store_.add_image(image.manifest, "", "", options_.kept));
    for (const auto& name : out.names) out.record = TRY(store_.add_image(image.manifest, name, "", options_.kept));
    return out;
  }

  /// Copies a blob of the layout unless it is here.
  Result<void> take_blob(const ArchiveFiles& files, const Descriptor& blob) {
    if (store_.has_blob(blob.digest)) return {};
    auto source = TRY(files.open("blobs/sha256/" + std::string(hex_of(blob.digest))));
    BlobWriter writer = TRY(store_.new_blob());
    TRY(copy_all(*source, &writer, options_.limits.total_bytes));
    if (writer.size() != blob.size)
      return fail(Code::malformed, "blob " + blob.digest + " has " + std::to_string(writer.size()) + " bytes, but " +
                                       std::to_string(blob.size) + " are declared");
    TRY_AS("blob " + blob.digest, writer.commit(blob.digest));
    return {};
  }

  Result<std::vector<Found>> oci_layout(const ArchiveFiles& files) {
    Index index = TRY(parse_index(TRY(files.read("index.json"))));
    auto tags = TRY(docker_names(files));
    std::vector<Found> out;
    for (const auto& d : index.manifests) {
      if (d.platform && !d.platform->os.empty() &&
          (d.platform->os != options_.platform.os || d.platform->architecture != options_.platform.architecture))
        continue;
      auto found = TRY(oci_image(files, d, 0));
      if (!found) continue;
      for (const char* key : {"io.containerd.image.name", "org.opencontainers.image.ref.name"}) {
        auto it = d.annotations.find(key);
        // A bare tag ("latest") does not say what it is a tag of.
        if (it == d.annotations.end() || it->second.find_first_of("/:") == std::string::npos) continue;
        found->names.push_back(TRY(parse_reference(it->second)).text());
        break;
      }
      if (found->names.empty()) {
        Manifest manifest = TRY(parse_manifest(TRY(store_.read_blob(found->manifest))));
        if (auto it = tags.find(std::string(hex_of(manifest.config.digest))); it != tags.end()) found->names = it->second;
      }
      out.push_back(std::move(*found));
    }
    return out;
  }

  /// Follows indexes to the manifest of our platform and takes its blobs.
  Result<std::optional<Found>> oci_image(const ArchiveFiles& files, const Descriptor& d, int depth) {
    if (depth > 4) return fail(Code::malformed, "image indexes are nested too deep");
    TRY(take_blob(files, d));
    std::string text = TRY(store_.read_blob(d.digest));
    if (is_index(text)) {
      Index inner = TRY(parse_index(text));
      const Descriptor* chosen = inner.choose(options_.platform);
      if (!chosen) return std::nullopt;
      return oci_image(files, *chosen, depth + 1);
    }
    Manifest manifest = TRY(parse_manifest(text));
    TRY(take_blob(files, manifest.config));
    for (const auto& layer : manifest.layers) TRY(take_blob(files, layer));
    return Found{d.digest, {}};
  }

  Result<json::Document> docker_manifest(const ArchiveFiles& files) {
    json::Document doc = TRY_AS("manifest.json", json::Document::parse(TRY(files.read("manifest.json")), {.allow_duplicate_keys = true}));
    if (!doc.root().is_array()) return fail(Code::malformed, "manifest.json: an array is expected");
    return doc;
  }

  Result<std::vector<std::string>> repo_tags(const json::Node& image) {
    std::vector<std::string> out;
    if (const json::Node* tags = image.find("RepoTags"); tags && tags->is_array())
      for (const auto& tag : *tags) out.push_back(TRY(parse_reference(tag.as_string())).text());
    return out;
  }

  /// Names by the configuration's hex digest, from the manifest.json that Docker adds to its OCI layouts.
  Result<std::map<std::string, std::vector<std::string>>> docker_names(const ArchiveFiles& files) {
    std::map<std::string, std::vector<std::string>> out;
    if (!files.has("manifest.json")) return out;
    json::Document doc = TRY(docker_manifest(files));
    for (const auto& image : doc.root()) {
      std::string_view config = image.string_at("Config");
      if (size_t slash = config.rfind('/'); slash != config.npos) config.remove_prefix(slash + 1);
      if (config.ends_with(".json")) config.remove_suffix(5);
      out[std::string(config)] = TRY(repo_tags(image));
    }
    return out;
  }

  Result<std::vector<Found>> docker_archive(const ArchiveFiles& files) {
    json::Document doc = TRY(docker_manifest(files));
    std::vector<Found> out;
    for (const auto& image : doc.root()) {
      Manifest manifest;
      std::string config_name(image.string_at("Config"));
      std::string config = TRY(files.read(config_name));
      manifest.config = {std::string(media::oci_config), digest_of(config), config.size(), {}, {}};
      std::string_view stated = config_name;
      if (size_t slash = stated.rfind('/'); slash != stated.npos) stated.remove_prefix(slash + 1);
      if (stated.ends_with(".json")) stated.remove_suffix(5);
      if (stated.size() == 64 && stated != hex_of(manifest.config.digest))
        return fail(Code::malformed, "the configuration " + config_name + " has digest " + manifest.config.digest +
                                         ", but its name says sha256:" + std::string(stated));
      TRY_AS(config_name, parse_config(config));
      TRY(store_.add_blob(config));
      const json::Node* layers = image.find("Layers");
      if (!layers || !layers->is_array()) return fail(Code::malformed, "manifest.json: Layers is missing");
      for (const auto& layer : *layers)
        manifest.layers.push_back(TRY_AS("layer " + quoted(layer.as_string()), docker_layer(files, std::string(layer.as_string()))));
      std::string digest = TRY(store_.add_blob(print_manifest(manifest)));
      out.push_back({digest, TRY(repo_tags(image))});
    }
    return out;
  }

  Result<Descriptor> docker_layer(const ArchiveFiles& files, const std::string& name) {
    auto source = TRY(files.open(name));
    BlobWriter writer = TRY(store_.new_blob());
    HashingSource raw(*source, &writer);
    Decompressor plain(raw);
    TRY(copy_all(plain, nullptr, options_.limits.total_bytes));  // only to see what it is, and that it is whole
    TRY(copy_all(raw, nullptr));
    Descriptor out;
    out.size = writer.size();
    out.media_type = layer_media_type(plain.compression());
    out.digest = TRY(writer.commit());
    return out;
  }

  /// Passes bytes on, with a copy to a sink.
  class Tee final : public Source {
   public:
    Tee(Source& inner, Sink& copy) : inner_(inner), copy_(copy) {}
    Result<size_t> read(std::span<char> buffer) override {
      size_t n = TRY(inner_.read(buffer));
      if (n) TRY(copy_.write({buffer.data(), n}));
      return n;
    }

   private:
    Source& inner_;
    Sink& copy_;
  };

  /// One pass: the tar is unpacked while its blob is written, as it came when it is compressed, else compressed.
  Result<Record> rootfs(Fd file) {
    auto info = TRY(os::fstat_file(file.get()));
    if (options_.name.empty() && !options_.kept) return fail(Code::invalid, "a root file system has no name of its own; give NAME:TAG");
    Compression compression = TRY(compression_of(file.get()));
    FileSource source(file.get());
    BlobWriter blob = TRY(store_.new_blob());
    std::string diff;
    if (compression == Compression::none) {
      ZstdSink zstd(blob);
      Tee tee(source, zstd);
      diff = TRY(store_.unpack_layer(tee, {}, "", false, options_.limits));
      TRY(zstd.finish());
      compression = Compression::zstd;
    } else {
      Tee tee(source, blob);
      Decompressor plain(tee);
      diff = TRY(store_.unpack_layer(plain, {}, "", false, options_.limits));
      TRY(copy_all(tee, nullptr));
    }
    Manifest manifest;
    Descriptor layer{layer_media_type(compression), "", blob.size(), {}, {}};
    layer.digest = TRY(blob.commit());
    manifest.layers.push_back(layer);
    std::string text = print_config(rootfs_config(diff, info));
    manifest.config = {std::string(media::oci_config), TRY(store_.add_blob(text)), text.size(), {}, {}};
    std::string digest = TRY(store_.add_blob(print_manifest(manifest)));
    return store_.add_image(digest, options_.name.empty() ? "" : name_.text(), "", options_.kept);
  }

  Config rootfs_config(const std::string& diff, const struct stat& info) {
    Config config = options_.settings;
    config.platform = options_.platform;
    // The file's time, not now: the same file makes the same image again.
    if (config.created.empty()) config.created = format_rfc3339(WallTime(std::chrono::seconds(info.st_mtime)));
    if (!options_.user.empty()) config.user = options_.user;
    if (!options_.working_dir.empty()) config.working_dir = options_.working_dir;
    if (!options_.env.empty()) config.env = options_.env;
    if (!options_.entrypoint.empty()) config.entrypoint = options_.entrypoint;
    if (!options_.cmd.empty()) config.cmd = options_.cmd;
    if (!options_.labels.empty()) config.labels = options_.labels;
    config.history.push_back({.created = config.created, .comment = config.comment});
    config.diff_ids.push_back(diff);
    return config;
  }

  Store& store_;
  const ImportOptions& options_;
  Reference name_;
};

}  // namespace

Result<std::vector<Record>> import_image(Store& store, const std::string& path, const ImportOptions& options) {
  return within("import " + (path == "-" ? std::string("standard input") : path), Importer(store, options).run(path));
}

Result<std::vector<Loaded>> load_archive(Store& store, Fd file, const ImportOptions& options) {
  return within("load", Importer(store, options).load(std::move(file)));
}

Result<Record> import_rootfs(Store& store, Fd file, const ImportOptions& options) {
  return within("import", Importer(store, options).root(std::move(file)));
}

}  // namespace estiba::image
