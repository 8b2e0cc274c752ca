// Devices of containers: the nodes to make and the cgroup rules that let them be used.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/spec.h"

namespace estiba::engine {

struct DeviceNode {
  std::string path;  ///< in the container
  char type = 'c';
  int64_t major = 0, minor = 0;
  uint32_t mode = 0666, uid = 0, gid = 0;
  std::string permissions = "rwm";
};

/// Those of the spec (a directory stands for all devices in it), and for privileged containers all of the host's.
Result<std::vector<DeviceNode>> container_devices(const ContainerSpec& spec);

}  // namespace estiba::engine
