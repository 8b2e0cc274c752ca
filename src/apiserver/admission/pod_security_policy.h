// The Pod Security Standards: what pods may ask for at the levels baseline and restricted, by version of the policy, in the
// words of Kubernetes. (https://kubernetes.io/docs/concepts/security/pod-security-standards/)
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "model/json.h"

namespace estiba::apiserver::admission {

enum class Level : uint8_t { privileged, baseline, restricted };
std::string_view to_string(Level level);

/// A level at a version of the policy: that of Kubernetes 1.`minor`.
struct LevelVersion {
  static constexpr int latest = 1'000'000;
  Level level = Level::privileged;
  int minor = latest;

  bool operator==(const LevelVersion&) const = default;
  /// "restricted:latest", "baseline:v1.24"
  std::string print() const;
};

struct Violation {
  std::string reason, detail;
};

/// What the pod violates, baseline's checks first, each sorted by its id. `metadata` and `spec` may be null.
std::vector<Violation> evaluate(const LevelVersion& policy, const json::Node* metadata, const json::Node* spec);
/// "reason (detail), reason (detail)"
std::string details(const std::vector<Violation>& violations);
/// "reason, reason"
std::string reasons(const std::vector<Violation>& violations);

}  // namespace estiba::apiserver::admission
