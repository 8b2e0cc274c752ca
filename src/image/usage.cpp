#include "image/usage.h"

#include <set>

#include "image/digest.h"

namespace estiba::image {

Result<uint64_t> layers_size(Store& store) {
  uint64_t total = 0;
  std::set<std::string> seen;
  for (const auto& record : TRY(store.list())) {
    auto config = store.config(record.id);
    if (!config) continue;  // it was removed meanwhile
    std::string chain;
    for (const auto& diff_id : (*config)->diff_ids) {
      chain = chain_id(chain, diff_id);
      if (seen.insert(chain).second) total += store.layer_size(chain).value_or(0);
    }
  }
  return total;
}

}  // namespace estiba::image
