// Devices of containers: the nodes to make and the cgroup rules that let them be used.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
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

/// "c 13:* rwm", "a *:* r"; -1: any number.
struct DeviceRule {
  char type = 'a';
  int64_t major = -1, minor = -1;
  std::string access;
};
Result<DeviceRule> parse_device_rule(std::string_view text);

}  // namespace estiba::engine
