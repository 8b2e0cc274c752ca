// Devices of the Container Device Interface (CDI specification 1.0, tags.cncf.io/container-device-interface): files in which vendors say
// what a container needs to use a device of theirs, by the device's name, "vendor.com/gpu=0".
//
//   /etc/cdi/*.json, *.yaml       what stays; /var/run/cdi/ what is made while the machine runs. A device that two directories have is
//                                 that of the later one; one that two files of a directory have is nobody's.
//
// Files are read when a container is made: what a plugin has written a moment ago counts.
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/spec.h"
#include "runtime/spec.h"

namespace estiba::engine {

/// What devices change of a container's OCI configuration ("containerEdits").
struct CdiEdits {
  struct Device {
    runtime::SpecDevice node;  ///< type and numbers are those of the host's node where the file does not say them
    std::string host_path;     ///< of that node; empty: node.path
    std::string permissions = "rwm";
  };
  std::vector<std::string> env;  ///< "NAME=value"
  std::vector<Device> devices;
  std::vector<runtime::SpecMount> mounts;
  runtime::SpecHooks hooks;
  std::vector<uint32_t> additional_gids;
  std::string unsupported;  ///< a field that this engine cannot do; whoever wants it gets an error
};

struct CdiHookKind {
  std::string_view name;
  std::vector<runtime::SpecHook> runtime::SpecHooks::* list;
};
/// The kinds by the names that both CDI and the runtime specification give them.
inline constexpr std::array<CdiHookKind, 6> cdi_hooks{{{"prestart", &runtime::SpecHooks::prestart},
                                                       {"createRuntime", &runtime::SpecHooks::create_runtime},
                                                       {"createContainer", &runtime::SpecHooks::create_container},
                                                       {"startContainer", &runtime::SpecHooks::start_container},
                                                       {"poststart", &runtime::SpecHooks::poststart},
                                                       {"poststop", &runtime::SpecHooks::poststop}}};

/// What the devices want together: for each its file's own edits (once) and the device's. A name that is listed twice counts once.
/// Errors (not_found, with the reason CreateContainerError) name the devices, and the files that cannot be read; one that wants what
/// this engine has not (intelRdt, netDevices) is unsupported.
Result<CdiEdits> cdi_edits(const std::vector<std::string>& names, const std::vector<std::string>& dirs);

/// The names of all devices that the files have, in order.
std::vector<std::string> cdi_devices(const std::vector<std::string>& dirs);

/// Names from annotations "cdi.k8s.io/KEY": "vendor.com/gpu=0,vendor.com/gpu=1", by which device plugins and clients of the CRI asked
/// before they had fields for it. Errors (invalid) name the annotation.
Result<std::vector<std::string>> cdi_annotated(const Labels& annotations);

}  // namespace estiba::engine
