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

namespace estiba::json {
class Document;
class Node;
}  // namespace estiba::json

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

/// How to ask a container whether it is well (Docker image specification, "Healthcheck").
struct HealthCheck {
  std::vector<std::string> test;  ///< {"NONE"}, {"CMD", args…} or {"CMD-SHELL", command}; empty: inherit
  int64_t interval = 0, timeout = 0, start_period = 0, start_interval = 0;  ///< nanoseconds; 0: the default
  int retries = 0;                                                          ///< 0: the default
  bool operator==(const HealthCheck&) const = default;
};

/// One step of how an image came to be, oldest first; those that are not `empty_layer` match the layers in their order.
struct HistoryEntry {
  std::string created, created_by, author, comment;
  bool empty_layer = false;
};

struct Config {
  Platform platform;
  std::string os_version;
  std::string created;  ///< RFC 3339, may be empty
  std::string author;
  std::string comment;  ///< of `docker commit -m` and `docker import -m`
  std::string user, working_dir, stop_signal, hostname, domainname;
  std::vector<std::string> env, entrypoint, cmd;
  std::map<std::string, std::string> labels;
  std::vector<std::string> exposed_ports, volumes;  ///< "80/tcp"; "/data"
  std::vector<std::string> on_build, shell;
  std::optional<HealthCheck> health_check;
  std::optional<int> stop_timeout;  ///< seconds
  bool args_escaped = false;
  std::vector<HistoryEntry> history;
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
/// The member `config` of it alone, as Docker's API shows it (`Config` of an image): fields that are not set are left out.
json::Node& write_settings(json::Document& doc, const Config& config);
/// The same member read: what `docker commit` and build clients send. Only fields that are present change `config`.
void read_settings(const json::Node& node, Config& config);

}  // namespace estiba::image
