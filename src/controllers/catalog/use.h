// Who uses what of the catalogue: indexes of instances by the classes and plans they refer to, and of bindings by their instances.
#pragma once
#include "client/informer.h"
#include "controllers/catalog/kinds.h"

namespace estiba::controllers::catalog {

/// How the indexes call a class or plan. `ns` is not looked at in the cluster's scope.
inline std::string use_key(const Scope& scope, std::string_view ns, std::string_view name) {
  return (scope.cluster ? "*" : std::string(ns)) + "/" + std::string(name);
}

/// Instances by the class, or the plan, that their spec refers to.
client::Informer::Index class_index(client::Informer& instances);
client::Informer::Index plan_index(client::Informer& instances);
/// Bindings by "namespace/instance".
client::Informer::Index instance_index(client::Informer& bindings);

}  // namespace estiba::controllers::catalog
