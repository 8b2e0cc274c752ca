// What the node's image garbage collection needs of the store: what may go, and letting it go.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "image/store.h"

namespace estiba::image {

struct ImageFacts {
  std::string id;
  bool used = false;    ///< by a container, stopped ones too, or as a volume
  bool pinned = false;  ///< Docker's API has it (Record::kept): it goes when somebody there says so
};

/// All images that are here. Blocking.
Result<std::vector<ImageFacts>> image_facts(Store& store);

/// Takes all names of an image away and deletes what only it has. Conflict when a container uses it, unavailable while content is being
/// added (nothing is touched then). Blocking.
Result<void> delete_unused(Store& store, std::string_view id);

}  // namespace estiba::image
