// The index of pods by spec.nodeName; those without a node are found under "".
#pragma once
#include "client/informer.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {

inline client::Informer::Index pods_by_node(client::Informer& pods) {
  return pods.shared_index("node", [](const model::Object& object, std::vector<std::string>& values) { values.push_back(object.as<model::core_v1::Pod>().spec.nodeName); });
}

}  // namespace estiba::controllers
