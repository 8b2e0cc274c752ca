// The catalog of what is served now: read from the stored CustomResourceDefinitions, and again whenever one has changed.
// A definition is served from the very write that establishes it.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "apiserver/follower.h"
#include "model/catalog.h"

namespace estiba::apiserver {

/// Where the definitions stand in the store.
inline constexpr std::string_view definitions_prefix = "/registry/apiextensions.k8s.io/customresourcedefinitions/";

class Definitions {
 public:
  explicit Definitions(store::Store& store) : follower_(store, definitions_prefix) {}

  /// Never null; any thread.
  model::CatalogPtr catalog();

 private:
  void replace(const std::vector<store::EntryPtr>& entries);
  bool put(const store::Entry& entry);
  void publish();

  std::mutex mutex_;
  Follower follower_;                                         // guarded by mutex_
  std::map<std::string, model::CustomDefinitionPtr> by_key_;  // guarded by mutex_
  model::CatalogPtr catalog_;                                 // guarded by mutex_
};

}  // namespace estiba::apiserver
