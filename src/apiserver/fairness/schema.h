// FlowSchemas and PriorityLevelConfigurations as they are asked for every request (k8s.io/apiserver, pkg/util/flowcontrol).
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/authz.h"
#include "apiserver/fairness/level.h"
#include "model/json.h"

namespace estiba::apiserver {

enum class Distinguisher : uint8_t { none, by_user, by_namespace };

struct FlowSubject {
  enum class Kind : uint8_t { user, group, service_account } kind = Kind::user;
  std::string name, ns;
};

struct FlowRule {
  std::vector<FlowSubject> subjects;
  struct Resources {
    std::vector<std::string> verbs, groups, resources, namespaces;
    bool cluster_scope = false;
  };
  struct Paths {
    std::vector<std::string> verbs, paths;
  };
  std::vector<Resources> resources;
  std::vector<Paths> paths;

  bool matches(const User& user, const Attributes& asked) const;
};

struct FlowSchema {
  std::string name, uid, level_name;
  int64_t precedence = 0;
  Distinguisher distinguisher = Distinguisher::none;
  std::vector<FlowRule> rules;

  bool matches(const User& user, const Attributes& asked) const;
  /// Requests of one flow wait in line with each other alone, where queues are not shared.
  uint64_t flow_of(const User& user, const Attributes& asked) const;
};

FlowSchema read_flow_schema(const json::Node& object);

/// A level's shape but for its seats, which depend on the other levels.
struct LevelConfig {
  std::string name, uid;
  LevelShape shape;
  int64_t shares = 0, lendable_percent = 0, borrowing_percent = -1;
};
LevelConfig read_level(const json::Node& object);
/// Divides `seats` among the levels by their shares.
void divide_seats(std::vector<LevelConfig>& levels, int seats);

}  // namespace estiba::apiserver
