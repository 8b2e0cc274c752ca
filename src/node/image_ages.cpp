#include "node/image_ages.h"

#include <algorithm>
#include <set>

namespace estiba::node {

void ImageAges::look(const std::vector<image::ImageFacts>& images, WallTime now) {
  std::set<std::string_view> there;
  for (const image::ImageFacts& image : images) {
    there.insert(image.id);
    Age& age = ages_.try_emplace(image.id, Age{.first_seen = now}).first->second;
    age.used = image.used;
    age.pinned = image.pinned;
    if (image.used) age.last_used = now;
  }
  std::erase_if(ages_, [&](const auto& entry) { return !there.contains(entry.first); });
}

std::vector<std::pair<std::string, ImageAges::Age>> ImageAges::in_order() const {
  std::vector<std::pair<std::string, Age>> out;
  for (const auto& entry : ages_)
    if (!entry.second.used && !entry.second.pinned) out.push_back(entry);
  std::ranges::stable_sort(out, {}, [](const auto& entry) { return std::pair(entry.second.last_used, entry.second.first_seen); });
  return out;
}

std::vector<std::string> ImageAges::removable(WallTime now, Duration least) const {
  std::vector<std::string> out;
  for (const auto& [id, age] : in_order())
    if (now - age.first_seen >= least) out.push_back(id);
  return out;
}

std::vector<std::string> ImageAges::outdated(WallTime now, Duration most) const {
  std::vector<std::string> out;
  for (const auto& [id, age] : in_order())
    if (now - age.last_used > most) out.push_back(id);
  return out;
}

}  // namespace estiba::node
