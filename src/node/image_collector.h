// ImageCollector: deletes unused images when the disk that holds them fills up, or when they have been unused for long; and all of them for
// a node in need (eviction.h).
//
// Lives on the node's thread.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "base/task.h"
#include "node/context.h"
#include "node/image_ages.h"

namespace estiba::node {

class ImageCollector {
 public:
  explicit ImageCollector(const Context& context) : context_(context) {}

  /// Looks at once and every five minutes from then on.
  void start();
  /// Deletes what is unused and old enough; how many images went. Errors of single images are logged.
  Task<Result<size_t>> delete_unused();

 private:
  struct Disk {
    int64_t capacity = 0, available = 0;
    int used_percent() const { return 100 - int(available * 100 / capacity); }
  };
  static Task<void> run(ImageCollector* self);
  Task<Result<image::Store*>> store();
  Task<Result<void>> look();
  Task<Result<void>> collect();
  Task<Result<void>> make_room(Disk disk);
  Task<Result<bool>> let_go(std::string id, std::string why);
  Result<Disk> disk() const;

  const Context& context_;
  std::shared_ptr<image::Store> store_;  // opened when it is needed first; work on the pool holds it too
  ImageAges ages_;
  Instant began_{};
  bool failed_ = false;
  Job job_;
};

}  // namespace estiba::node
