// Keeps running containers on the CPUs that are theirs: those without CPUs of their own share what the others leave, which changes as
// pods come and go.
#pragma once
#include <map>
#include <string>

#include "base/task.h"
#include "engine/engine.h"
#include "node/placement/placement.h"

namespace estiba::node {

class SharedCpus {
 public:
  /// Both outlive it. Nothing is done before start().
  SharedCpus(Placement& placement, engine::Engine& engine);
  void start();
  /// A container has started; it may have been made when the shared CPUs were others.
  void look() { wake_.set(); }

 private:
  static Task<void> run(SharedCpus* self);
  Task<void> pass();

  Placement& placement_;
  engine::Engine& engine_;
  std::map<std::string, std::string> applied_;  // by the container's id
  Event wake_;
  Job job_;  // last: ends first
};

}  // namespace estiba::node
