#include "image/unused.h"

#include <set>

namespace estiba::image {

namespace {

Result<std::set<std::string>> used_images(Store& store) {
  const std::vector<std::string> used = TRY(store.used());
  return std::set<std::string>(used.begin(), used.end());
}

}  // namespace

Result<std::vector<ImageFacts>> image_facts(Store& store) {
  const auto records = TRY(store.list());
  const auto used = TRY(used_images(store));
  std::vector<ImageFacts> out;
  for (const Record& record : records) out.push_back({record.id, used.contains(record.id), record.kept});
  return out;
}

Result<void> delete_unused(Store& store, std::string_view id) {
  bool free = false;
  TRY(store.collect(&free));
  if (!free) return fail(Code::unavailable, "content is being added to the store");
  if (TRY(used_images(store)).contains(std::string(id)))
    return fail(Code::conflict, "image " + short_digest(id) + " is used by a container");
  // A container that begins to use it now keeps its content: the collector sees that after the names are gone.
  TRY(store.forget(id));
  TRY(store.collect());
  return {};
}

}  // namespace estiba::image
