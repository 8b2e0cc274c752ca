// From a ContainerSpec and an image's configuration to the config.json of an OCI bundle (runtime-spec 1.2).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/cdi.h"
#include "engine/identity.h"
#include "engine/record.h"
#include "engine/spec.h"
#include "image/manifest.h"

namespace estiba::engine {

struct BundleInput {
  const SandboxRecord& sandbox;
  const ContainerSpec& spec;  ///< with its id
  const image::Config& image;
  const Identity& identity;
  std::string root_path;    ///< the mounted root file system
  std::string etc_files;    ///< directory with resolv.conf, hosts, hostname (those that exist are mounted)
  std::string shm;          ///< the sandbox's /dev/shm; mounted when it exists
  std::string oci_program;  ///< with spec.init: what is mounted as the init
  CdiEdits cdi = {};        ///< of spec.cdi_devices
};

/// The words that are executed: spec.command and spec.args over the image's Entrypoint and Cmd, as Kubernetes defines it.
/// Where an init of ours is in a container, and the name by which it knows what to be.
inline constexpr std::string_view init_path = "/sbin/docker-init";
Result<std::vector<std::string>> command_line(const ContainerSpec& spec, const image::Config& image);
/// The container's cgroup: below the pod's.
std::string cgroup_path(const SandboxRecord& sandbox, std::string_view container_id);
/// `linux.resources`, as the runtime takes it for containers and pods.
std::string resources_json(const Resources& resources);
/// The text of config.json. Fails with reason CreateContainerError or CreateContainerConfigError.
Result<std::string> bundle_config(const BundleInput& input);

}  // namespace estiba::engine
