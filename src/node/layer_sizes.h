// What containers' writable layers take on disk. Walking one costs as much as it has files, so a walk's result is given again for thirty
// times as long as the walk took: however often somebody asks, walking takes a thirtieth of the time at most.
#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>

#include "base/executor.h"
#include "base/task.h"
#include "image/overlay.h"

namespace estiba::node {

class LayerSizes {
 public:
  /// Walks the layer of the container with this id; zeros when there is none.
  using Walk = std::function<Task<image::Usage>(std::string)>;
  LayerSizes(Executor& executor, Walk walk) : executor_(executor), walk_(std::move(walk)) {}

  Task<image::Usage> of(std::string id);
  /// Forgets all others.
  void keep(const std::set<std::string>& ids);

 private:
  struct Known {
    image::Usage usage;
    Instant until{};
  };
  Executor& executor_;
  Walk walk_;
  std::map<std::string, Known> known_;  // by id
};

}  // namespace estiba::node
