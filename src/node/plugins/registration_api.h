// Messages of the plugin registration API, v1 (k8s.io/kubelet/pkg/apis/pluginregistration/v1, api.proto, which names the fields' numbers).
#pragma once
#include "base/protobuf_message.h"

namespace estiba::node::registration_api {

using protobuf::field;
using protobuf::table;

struct InfoRequest {
  static constexpr auto fields() { return table(); }
};
struct PluginInfo {
  std::string type, name, endpoint;
  std::vector<std::string> supported_versions;
  static constexpr auto fields() {
    using M = PluginInfo;
    return table(field(1, &M::type), field(2, &M::name), field(3, &M::endpoint), field(4, &M::supported_versions));
  }
};
struct RegistrationStatus {
  bool plugin_registered = false;
  std::string error;
  static constexpr auto fields() {
    using M = RegistrationStatus;
    return table(field(1, &M::plugin_registered), field(2, &M::error));
  }
};

}  // namespace estiba::node::registration_api
