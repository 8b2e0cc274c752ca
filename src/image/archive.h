// Images as files: OCI layouts (image-spec, image-layout.md) as a directory or tar, docker archives as `docker save` writes
// them (old and new form), and plain root file systems. Each may be compressed with gzip or zstd.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "image/manifest.h"
#include "image/store.h"

namespace estiba::image {

struct ImportOptions {
  /// The image's name; wins over those in the archive. Needed for a root file system.
  std::string name;
  Platform platform = host_platform();
  TarLimits limits;
  /// Settings for a root file system's configuration; an archive brings its own.
  std::string user, working_dir;
  std::vector<std::string> env, entrypoint, cmd;
  std::map<std::string, std::string> labels;
  /// The whole configuration of a root file system; what stands above wins. Its `created` may be empty: the file's time.
  Config settings;
  bool kept = false;      ///< as Store::add_image
  bool nameless = false;  ///< images may have no name, and stay under their ids
  /// Called while layers of an archive are unpacked: a layer's diff id, bytes of its blob.
  LayerProgress progress;
};

/// `path` is a directory (OCI layout), a file, or "-" for standard input. What kind of archive it is shows by its first
/// member. Returns the images that are now in the store; on failure the store is as before, but for unreferenced content that the
/// next collection takes.
Result<std::vector<Record>> import_image(Store& store, const std::string& path, const ImportOptions& options);

struct Loaded {
  Record record;
  std::vector<std::string> names;  ///< those that it got
};
/// The images of an archive in a seekable file at its start (`docker load`).
Result<std::vector<Loaded>> load_archive(Store& store, Fd file, const ImportOptions& options);
/// A root file system in a seekable file at its start (`docker import`).
Result<Record> import_rootfs(Store& store, Fd file, const ImportOptions& options);

enum class ExportFormat : unsigned char {
  oci,     ///< an OCI layout that `docker load` reads as well; layers as they are stored
  docker,  ///< a docker archive with uncompressed layers, for every Docker there is
};
/// Writes a tar of one or several images.
Result<void> export_images(Store& store, const std::vector<std::string>& names, ExportFormat format, Sink& sink);

}  // namespace estiba::image
