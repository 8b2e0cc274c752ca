// GET /containers/json. Clients poll it, so whole answers are kept for as long as they are true: until a container or the image index
// changes, and at most for a second, because "Up 5 seconds" ages.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/task.h"
#include "docker/containers.h"
#include "docker/filters.h"
#include "docker/inspect.h"

namespace estiba::docker {

class Daemon;

struct ListRequest {
  bool all = false, size = false;
  int64_t limit = 0;  ///< 0: no limit
  Filters filters;
};

class Listing {
 public:
  explicit Listing(Daemon& daemon) : daemon_(daemon) {}

  /// The answer to a query as it was sent, if it is known and still true.
  std::shared_ptr<const std::string> known(const std::string& raw_query);
  /// Makes it and, unless it has sizes, keeps it.
  Task<Result<std::shared_ptr<const std::string>>> make(std::string raw_query, ListRequest request);

  /// What is shown beside a container, without sizes and layers.
  Shown shown(const Container& container) const;
  /// Walks the layers.
  Task<DiskSize> size_of(ContainerRef container);
  /// What stands in the Image column: as it was asked for, or the image's id once that name means another image.
  static std::string image_column(const Container& container, const std::map<std::string, std::string, std::less<>>& names);

 private:
  struct Stamp {
    uint64_t revision = 0, inode = 0;
    int64_t changed = 0, second = 0;
    bool operator==(const Stamp&) const = default;
  };
  Stamp stamp() const;
  Task<Result<std::vector<ContainerRef>>> choose(ListRequest* request);
  Result<bool> fits(const Container& container, const Filters& filters) const;
  Task<Result<void>> refresh_names();

  Daemon& daemon_;
  Stamp stamp_;
  std::map<std::string, std::shared_ptr<const std::string>, std::less<>> answers_;  // by query, true at stamp_
  std::map<std::string, std::string, std::less<>> image_names_;                     // name → image id
  Stamp names_stamp_;
};

}  // namespace estiba::docker
