// The roles and bindings that a cluster has from the beginning: what is needed to look around, the four roles for people,
// and what nodes and their agents may do.
#pragma once
#include <span>
#include <string_view>

namespace estiba::apiserver {

struct BootstrapObject {
  std::string_view resource, ns, name, json;
};
std::span<const BootstrapObject> bootstrap_rbac();

}  // namespace estiba::apiserver
