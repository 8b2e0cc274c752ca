// Which images may go, and in which order (kubelet's pkg/kubelet/images/image_gc_manager.go): those that have been unused for longest
// first. What is known is kept in memory: a node that starts sees all images for the first time.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/executor.h"
#include "image/unused.h"

namespace estiba::node {

class ImageAges {
 public:
  /// Takes in what is there now.
  void look(const std::vector<image::ImageFacts>& images, WallTime now);
  /// Those that are unused, not pinned and have been here for `least`: the longest unused first.
  std::vector<std::string> removable(WallTime now, Duration least) const;
  /// Those of them that have been unused for longer than `most`.
  std::vector<std::string> outdated(WallTime now, Duration most) const;

 private:
  struct Age {
    WallTime first_seen{}, last_used{};
    bool used = false, pinned = false;
  };
  std::vector<std::pair<std::string, Age>> in_order() const;
  std::map<std::string, Age> ages_;  // by id
};

}  // namespace estiba::node
