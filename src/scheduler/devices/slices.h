// What drivers publish: ResourceSlices, read once, and the pools that those of one generation make (KEP 4381; partitionable devices: KEP
// 4815, taints: KEP 5055, consumable capacity: KEP 5075).
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/device_taints.h"
#include "model/json.h"
#include "model/quantity.h"
#include "model/types/core_v1.h"
#include "scheduler/cluster.h"

namespace estiba::scheduler::devices {

using client::DeviceTaint;
using model::Quantity;
using Amounts = std::map<std::string, Quantity, std::less<>>;  ///< by the name of a capacity or a counter

/// Which nodes reach a slice or a device.
struct Reach {
  std::string node;
  bool all = false;
  std::optional<model::core_v1::NodeSelector> selector;

  bool is_given() const { return !node.empty() || all || selector; }
  bool includes(const NodeState& state) const;
};

/// What a request may take of a capacity that several share.
struct CapacityPolicy {
  std::optional<Quantity> usual;  ///< without a wish
  std::vector<Quantity> values;   ///< rising
  bool has_range = false;
  std::optional<Quantity> least, most, step;
};
struct Capacity {
  Quantity value;
  std::optional<CapacityPolicy> policy;
};

/// Of a counter set of its pool.
struct CounterUse {
  std::string set;
  Amounts counters;
};

struct Device {
  std::string id;  ///< driver/pool/device, unique in the cluster
  std::string name;
  const json::Node* text = nullptr;  ///< as the slice has it
  std::map<std::string, Capacity, std::less<>> capacity;
  std::vector<DeviceTaint> taints;
  std::vector<CounterUse> uses;
  Reach reach;  ///< where its slice leaves that to each device
  bool binds_to_node = false, allows_multiple = false;
  std::vector<std::string> binding_conditions, binding_failure_conditions;

  /// The attribute of a name with its domain; unqualified ones are of the driver's. Null when there is none.
  const json::Node* attribute(std::string_view driver, std::string_view name) const;
};

struct Slice {
  std::string name, driver, pool;
  std::string pool_id;                 ///< driver/pool
  int64_t generation = 0, slices = 0;  ///< of the pool
  Reach reach;
  bool each_device = false;  ///< devices say themselves who reaches them
  std::vector<Device> devices;
  std::map<std::string, Amounts, std::less<>> counters;  ///< sets that devices of the pool share
  json::Document document;
};
using SlicePtr = std::shared_ptr<const Slice>;

/// Null when it cannot be read.
SlicePtr read_slice(const model::ObjectRef& object);

/// The newest generation of a driver's pool, as one node sees it.
struct Pool {
  std::string driver, name, id;
  bool incomplete = false;          ///< slices are missing: it is being changed
  bool invalid = false;             ///< names or counters contradict each other
  std::vector<SlicePtr> here;       ///< with devices, for the node
  std::vector<SlicePtr> elsewhere;  ///< others that use the same counters
  std::map<std::string, Amounts, std::less<>> counters;

  bool usable() const { return !incomplete && !invalid; }
};

/// All slices.
class Inventory {
 public:
  void set(const model::ObjectRef& slice);
  void remove(std::string_view name);
  /// The pools that have something for the node: by driver and name, those with binding conditions last.
  std::vector<Pool> pools_at(const NodeState& node) const;

 private:
  std::optional<Pool> build(const std::vector<SlicePtr>& relevant) const;

  std::map<std::string, SlicePtr, std::less<>> slices_;           // by name
  std::unordered_map<std::string, std::vector<SlicePtr>> local_;  // by node, for one node each
  std::vector<SlicePtr> shared_;
  std::map<std::string, std::vector<SlicePtr>> pools_;  // by Slice::pool_id
};

}  // namespace estiba::scheduler::devices
