#include "engine/devices.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "engine/errors.h"
#include "engine/files.h"

namespace estiba::engine {
namespace {

// Of the host's /dev: what each container has of its own.
constexpr std::array<std::string_view, 7> not_shared{"/dev/pts",     "/dev/shm",  "/dev/fd",       "/dev/mqueue",
                                                     "/dev/console", "/dev/.lxc", "/dev/hugepages"};

Result<void> collect(const std::string& host, const std::string& inside, const std::string& permissions, bool whole_dev, int depth,
                     std::vector<DeviceNode>& out) {
  struct stat info;
  // A symlink such as /dev/cdrom counts as what it names when it is asked for; in a walk its target is met by itself.
  int failed_call = whole_dev && depth > 0 ? ::lstat(host.c_str(), &info) : ::stat(host.c_str(), &info);
  if (failed_call != 0) {
    if (depth > 0) return {};  // gone meanwhile
    return failed(reason::create_container, Code::not_found, "device " + host + " does not exist on the node");
  }
  if (S_ISDIR(info.st_mode)) {
    if (depth > 8 || (whole_dev && std::find(not_shared.begin(), not_shared.end(), host) != not_shared.end())) return {};
    for (const auto& name : TRY(list_names(host)))
      TRY(collect(host + "/" + name, inside + "/" + name, permissions, whole_dev, depth + 1, out));
    return {};
  }
  if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode)) {
    if (depth > 0) return {};
    return failed(reason::create_container, Code::invalid, host + " is no device");
  }
  if (whole_dev && std::find(not_shared.begin(), not_shared.end(), host) != not_shared.end()) return {};
  out.push_back({inside, S_ISBLK(info.st_mode) ? 'b' : 'c', int64_t(major(info.st_rdev)), int64_t(minor(info.st_rdev)),
                 info.st_mode & 07777u, info.st_uid, info.st_gid, permissions});
  return {};
}

}  // namespace

Result<DeviceRule> parse_device_rule(std::string_view text) {
  auto wrong = [&] {
    return failed(reason::create_container_config, Code::invalid, "invalid device cgroup rule format: '" + std::string(text) + "'");
  };
  auto fields = split(text, ' ');
  if (fields.size() != 3 || fields[0].size() != 1 || std::string_view("abc").find(fields[0][0]) == std::string_view::npos) return wrong();
  auto [major, minor] = split_once(fields[1], ':');
  if (!minor || fields[2].empty() || fields[2].find_first_not_of("rwm") != std::string_view::npos) return wrong();
  DeviceRule out{fields[0][0], -1, -1, std::string(fields[2])};
  for (auto [name, number] : {std::pair(major, &out.major), std::pair(*minor, &out.minor)}) {
    if (name == "*") continue;
    auto parsed = parse_number<uint32_t>(name);
    if (!parsed) return wrong();
    *number = *parsed;
  }
  return out;
}

Result<std::vector<DeviceNode>> container_devices(const ContainerSpec& spec) {
  std::vector<DeviceNode> out;
  if (spec.privileged) TRY(collect("/dev", "/dev", "rwm", true, 0, out));
  for (const auto& device : spec.devices) {
    std::string inside = device.container_path.empty() ? device.host_path : device.container_path;
    TRY(collect(device.host_path, inside, device.permissions, false, 0, out));
  }
  return out;
}

}  // namespace estiba::engine
