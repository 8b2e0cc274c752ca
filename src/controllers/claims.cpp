#include "controllers/claims.h"

#include <algorithm>

#include "model/types/storage_v1.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::core_v1::Pod;

ObjectRef default_class(const client::Informer& classes) {
  ObjectRef chosen;
  classes.each([&](const ObjectRef& each) {
    const model::Meta& meta = each.meta();
    if (meta.annotation("storageclass.kubernetes.io/is-default-class") != "true" &&
        meta.annotation("storageclass.beta.kubernetes.io/is-default-class") != "true")
      return;
    const auto rank = [](const model::Meta& of) { return std::pair(of.creation_timestamp, std::string_view(of.name)); };
    const bool newer = chosen && rank(meta).first > rank(chosen.meta()).first;
    const bool first = chosen && rank(meta).first == rank(chosen.meta()).first && rank(meta).second < rank(chosen.meta()).second;
    if (!chosen || newer || first) chosen = each;
  });
  return chosen;
}

client::Informer::Index claim_index(client::Informer& pods) {
  return pods.shared_index("claims", [](const model::Object& pod, std::vector<std::string>& values) {
    for (const auto& volume : pod.as<Pod>().spec.volumes)
      if (const std::string claim = claim_of(pod.meta(), volume); !claim.empty()) values.push_back(client::key_of(pod.meta().ns, claim));
  });
}

}  // namespace estiba::controllers
