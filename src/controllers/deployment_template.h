// A Deployment's pod template: comparing it with those of its ReplicaSets, naming it by a hash, making the set for it.
#pragma once
#include <string>

#include "base/result.h"
#include "client/informer.h"

namespace estiba::controllers {

/// The template of an owner of pods as canonical JSON, without the label pod-template-hash.
Result<std::string> canonical_template(const model::ObjectRef& owner);

/// The value of pod-template-hash: stable, and another one for each count of collisions.
std::string template_hash(std::string_view canonical, int64_t collisions);

struct NewSet {
  std::string name, hash;
  int64_t replicas = 0;
  int64_t revision = 1;
  int64_t desired = 0, most = 0;
};
/// The ReplicaSet for a Deployment's present template, as JSON to create.
Result<std::string> new_set_body(const model::ObjectRef& deployment, const NewSet& set);

/// Annotations of a Deployment that its sets carry too.
bool is_copied_annotation(std::string_view key);

}  // namespace estiba::controllers
