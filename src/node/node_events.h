// Events about the node itself. As the kubelet, it refers to its Node by name instead of its uid.
#pragma once
#include <string_view>

#include "node/context.h"

namespace estiba::node {

inline void record_of_node(const Context& context, client::EventType type, std::string_view reason, std::string_view message) {
  const std::string& name = context.options.node_name;
  const client::EventTarget node{
      .api_version = "v1", .kind = "Node", .ns = {}, .name = name, .uid = name, .resource_version = {}, .field_path = {}};
  context.events.record(node, type, reason, message);
}

}  // namespace estiba::node
