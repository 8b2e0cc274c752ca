// A service as the Docker API wants its container.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/compose/project.h"
#include "cli/docker/json_build.h"

namespace estiba::cli::compose {

/// Labels that say what belongs to which project; docker compose v2 sets and reads the same.
namespace label {
inline constexpr std::string_view project = "com.docker.compose.project";
inline constexpr std::string_view service = "com.docker.compose.service";
inline constexpr std::string_view number = "com.docker.compose.container-number";
inline constexpr std::string_view one_off = "com.docker.compose.oneoff";
inline constexpr std::string_view hash = "com.docker.compose.config-hash";
inline constexpr std::string_view image = "com.docker.compose.image";
inline constexpr std::string_view files = "com.docker.compose.project.config_files";
inline constexpr std::string_view directory = "com.docker.compose.project.working_dir";
inline constexpr std::string_view depends = "com.docker.compose.depends_on";
inline constexpr std::string_view version = "com.docker.compose.version";
inline constexpr std::string_view network = "com.docker.compose.network";
inline constexpr std::string_view volume = "com.docker.compose.volume";
inline constexpr std::string_view slug = "com.docker.compose.slug";
}  // namespace label

/// What `com.docker.compose.version` says: the version whose labels these are.
inline constexpr std::string_view compose_version = "2.40.0-estiba";

/// "app-web" unless the service names an image.
std::string image_of(const Project& project, const json::Node& service);
/// "app-web-1", or the service's container_name.
std::string container_name(const Project& project, const json::Node& service, int64_t number);
/// scale, deploy.replicas or 1.
int64_t replicas_of(const json::Node& service);
/// Changes with everything that makes a container another one (not with build, scale, depends_on, profiles).
std::string config_hash(const Project& project, const json::Node& service);

struct BodyOptions {
  int64_t number = 1;
  bool one_off = false;
  std::string slug;                                              ///< of a one-off container
  std::string image_id;                                          ///< for the label
  std::vector<std::string> inherited;                            ///< "volume:target" of the container that this one replaces
  std::optional<std::vector<std::string>> command, entrypoint;   ///< instead of the service's
  std::vector<std::string> environment, labels, binds, publish;  ///< beside the service's, of `run`
  std::string user, workdir;
  bool service_ports = true, tty = false, open_stdin = false;
  bool use_aliases = true;
  /// Container ids of services for network_mode, ipc and pid "service:x", and volumes_from.
  std::vector<std::pair<std::string, std::string>> containers;
};
Result<void> container_body(const Project& project, const json::Node& service, const BodyOptions& options, docker::Object body);

/// The networks of a service by priority, the first being the one that the container is created with: (key, name).
std::vector<std::pair<std::string, std::string>> networks_of(const Project& project, const json::Node& service);
/// EndpointSettings for one of them.
void endpoint_settings(const Project& project, const json::Node& service, std::string_view network, const BodyOptions& options,
                       docker::Object out);

/// Files that a container gets before it starts, since no file of the host holds them: (path, content, mode).
struct GrantedFile {
  std::string path, content;
  int64_t mode = 0444, uid = 0, gid = 0;
};
std::vector<GrantedFile> granted_files(const Project& project, const json::Node& service);

}  // namespace estiba::cli::compose
