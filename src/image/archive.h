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
};

/// `path` is a directory (OCI layout), a file, or "-" for standard input. What kind of archive it is shows by its first
/// member. Returns the images that are now in the store; on failure the store is as before, but for unreferenced content that the
/// next collection takes.
Result<std::vector<Record>> import_image(Store& store, const std::string& path, const ImportOptions& options);

enum class ExportFormat : unsigned char {
  oci,     ///< an OCI layout that `docker load` reads as well; layers as they are stored
  docker,  ///< a docker archive with uncompressed layers, for every Docker there is
};
/// Writes a tar of one or several images.
Result<void> export_images(Store& store, const std::vector<std::string>& names, ExportFormat format, Sink& sink);

}  // namespace estiba::image
