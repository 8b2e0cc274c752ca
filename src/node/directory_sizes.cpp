#include "node/directory_sizes.h"

#include <chrono>
#include <vector>

namespace estiba::node {

Task<void> DirectorySizes::look(std::set<std::string> paths) {
  std::erase_if(known_, [&](const auto& entry) { return !paths.contains(entry.first); });
  const Instant now = executor_.now();
  std::erase_if(paths, [&](const std::string& path) {
    const auto found = known_.find(path);
    return found != known_.end() && now < found->second.until;
  });
  if (paths.empty()) co_return;
  struct Walk {
    std::string path;
    image::Usage usage;
    Duration took;
  };
  const auto walks = co_await pool_.run([paths = std::move(paths)] {
    std::vector<Walk> out;
    for (const std::string& path : paths) {
      const auto begin = std::chrono::steady_clock::now();
      const auto usage = image::disk_usage(path);
      out.push_back(
          {path, usage ? *usage : image::Usage{}, std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - begin)});
    }
    return out;
  });
  const Instant end = executor_.now();
  for (const Walk& walk : walks) known_[walk.path] = {walk.usage, end + walk.took * 30};
}

image::Usage DirectorySizes::of(const std::string& path) const {
  const auto found = known_.find(path);
  return found == known_.end() ? image::Usage{} : found->second.usage;
}

}  // namespace estiba::node
