// Services at the same time, as far as their dependencies let them.
#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cli/compose/context.h"

namespace estiba::cli::compose {

enum class Direction : unsigned char {
  forward,  ///< a service after those that it depends on
  reverse,  ///< a service before those that it depends on
};

/// What can be done now. Pure; the caller locks.
class Schedule {
 public:
  /// Dependencies that `services` does not name do not count.
  Schedule(const Project& project, const std::vector<std::string>& services, Direction direction);
  /// The next service whose turn it is, or "" when none is ready.
  std::string take();
  void done(const std::string& service);
  /// Nothing is left to take, now or later.
  bool empty() const { return waiting_.empty(); }

 private:
  std::vector<std::string> waiting_;  // in their order
  std::map<std::string, std::set<std::string>> before_;
};

/// Runs `step` for every service, each on its turn, several at once (Context::parallel). A step gets a context whose connection is its
/// own. After the first error nothing begins any more; it is returned when what runs has ended.
Result<void> in_order(Context& context, const Project& project, const std::vector<std::string>& services, Direction direction,
                      const std::function<Result<void>(Context&, const std::string& service)>& step);

}  // namespace estiba::cli::compose
