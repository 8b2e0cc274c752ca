// The JSON documents of an image: index, manifest and configuration (OCI image-spec 1.1, and Docker's image manifest
// version 2 schema 2, which differs in media types only).
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::image {

namespace media {
inline constexpr std::string_view oci_index = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view oci_manifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view oci_config = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view oci_layer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view docker_list = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view docker_manifest = "application/vnd.docker.distribution.manifest.v2+json";
}  // namespace media

struct Platform {
  std::string os = "linux", architecture, variant;
};
/// This machine's: "linux", "amd64" or "arm64".
Platform host_platform();

struct Descriptor {
  std::string media_type, digest;
  uint64_t size = 0;
  std::optional<Platform> platform;
  std::map<std::string, std::string> annotations;
};

struct Index {
  std::vector<Descriptor> manifests;
  /// The entry for `platform`; entries without a platform match when nothing better does. Null when there is none.
  const Descriptor* choose(const Platform& platform) const;
};

struct Manifest {
  std::string media_type = std::string(media::oci_manifest);
  Descriptor config;
  std::vector<Descriptor> layers;  ///< lowest first
  uint64_t layers_size() const;
};

struct Config {
  Platform platform;
  std::string created;  ///< RFC 3339, may be empty
  std::string user, working_dir, stop_signal;
  std::vector<std::string> env, entrypoint, cmd;
  std::map<std::string, std::string> labels;
  std::vector<std::string> exposed_ports, volumes;
  std::vector<std::string> diff_ids;  ///< digests of the uncompressed layers, lowest first
};

/// Either kind of top document.
bool is_index(std::string_view text);
Result<Index> parse_index(std::string_view text);
Result<Manifest> parse_manifest(std::string_view text);
Result<Config> parse_config(std::string_view text);

std::string print_index(const Index& index);
std::string print_manifest(const Manifest& manifest);
std::string print_config(const Config& config);

}  // namespace estiba::image
