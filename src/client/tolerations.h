// Taints and what tolerates them.
#pragma once
#include <algorithm>
#include <string_view>
#include <vector>

#include "model/types/core_v1.h"

namespace estiba::client {

inline bool tolerates(const model::core_v1::Toleration& toleration, const model::core_v1::Taint& taint) {
  if (!toleration.effect.empty() && toleration.effect != taint.effect) return false;
  if (!toleration.key.empty() && toleration.key != taint.key) return false;
  if (toleration.operator_ == "Exists") return true;
  // An empty key stands for all keys only together with Exists.
  if (!toleration.operator_.empty() && toleration.operator_ != "Equal") return false;
  return !toleration.key.empty() && toleration.value == taint.value;
}

inline bool tolerates(const std::vector<model::core_v1::Toleration>& tolerations, const model::core_v1::Taint& taint) {
  for (const auto& toleration : tolerations)
    if (tolerates(toleration, taint)) return true;
  return false;
}

inline bool same_taints(const std::vector<model::core_v1::Taint>& a, const std::vector<model::core_v1::Taint>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const auto& x, const auto& y) { return x.key == y.key && x.value == y.value && x.effect == y.effect; });
}

}  // namespace estiba::client
