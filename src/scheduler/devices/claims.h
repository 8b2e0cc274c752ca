// What claims and device classes ask for, read once (KEP 4381; alternatives: KEP 4816).
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/resource_claims.h"
#include "scheduler/devices/ledger.h"
#include "scheduler/devices/slices.h"

namespace estiba::scheduler::devices {

using client::DeviceToleration;

/// One way to satisfy a request: `exactly`, or one of `firstAvailable`.
struct Wish {
  std::string name;  ///< as results call it: "request" or "request/subrequest"
  std::string device_class;
  std::vector<std::string> selectors;  ///< CEL
  bool all = false;                    ///< every device that matches, else `count` of them
  int64_t count = 1;
  bool admin = false;  ///< also what others have
  std::vector<DeviceToleration> tolerations;
  std::string tolerations_text;  ///< JSON, for the result; empty for none
  Amounts capacity;              ///< of a device that several share
};

struct Request {
  std::string name;
  std::vector<Wish> wishes;  ///< the best first
  bool alternatives = false;
};

/// Devices of these requests (all, when none is named) have the same value of an attribute, or all different ones.
struct Constraint {
  std::vector<std::string> requests;
  std::string attribute;
  bool distinct = false;
  bool concerns(const Request& request, const Wish& wish) const;
};

struct Config {
  std::vector<std::string> requests;
  std::string opaque;  ///< JSON
};

struct DeviceClass {
  std::string name;
  std::vector<std::string> selectors;
  std::vector<Config> configs;  ///< without requests
  std::string extended_resource;
};
using DeviceClassPtr = std::shared_ptr<const DeviceClass>;
DeviceClassPtr read_class(const model::ObjectRef& object);

/// A device of an allocated claim that has to be made ready before its pod is bound (KEP 5007).
struct BindingState {
  bool waits = false;   ///< some condition is not true yet
  std::string failure;  ///< what has failed, or empty
};

struct Claim {
  model::ObjectRef object;
  std::vector<Request> requests;
  std::vector<Constraint> constraints;
  std::vector<Config> configs;
  client::ClaimUse use;
  std::optional<model::core_v1::NodeSelector> reach;  ///< of an allocated one: the nodes where its devices are
  std::vector<DeviceUse> devices;                     ///< of an allocated one
  std::vector<std::string> chosen;                    ///< of an allocated one: what its results call their requests
  bool has_conditions = false;                        ///< some of its devices have binding conditions
  BindingState binding;

  const model::Meta& meta() const { return object.meta(); }
  bool allocated() const { return use.allocated; }
  bool reaches(const NodeState& node) const;
};
using ClaimPtr = std::shared_ptr<const Claim>;
ClaimPtr read_claim(const model::ObjectRef& object);

}  // namespace estiba::scheduler::devices
