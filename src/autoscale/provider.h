// Who makes and removes the machines of a group. Every call may come again after a restart of the server, or because its answer was lost:
// all are idempotent by the machine's name, which becomes the Node's.
#pragma once
#include <string>
#include <vector>

#include "autoscale/node_groups.h"
#include "base/task.h"

namespace estiba::autoscale {

/// A machine as its provider knows it, whether it has become a Node or not.
struct Machine {
  std::string name;
  bool failed = false;  ///< it will never become a node
  std::string message;  ///< then: why
};

class Provider {
 public:
  virtual ~Provider() = default;
  /// All that were asked for and not removed, those that are only coming up among them.
  virtual Task<Result<std::vector<Machine>>> list(const NodeGroup& group) = 0;
  /// Begins to make a machine that joins the cluster by the token as the Node `name`; need not wait until it has. One that is there is no
  /// error. Code::timeout when the provider does not answer in time: it may be there then.
  virtual Task<Result<void>> create(const NodeGroup& group, std::string name, std::string join_token) = 0;
  /// Removes the machine with all it has. One that is not there is no error.
  virtual Task<Result<void>> remove(const NodeGroup& group, std::string name) = 0;
};

}  // namespace estiba::autoscale
