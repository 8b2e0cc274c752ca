// The catalog of what is served now: read from the stored CustomResourceDefinitions, and again whenever one has changed.
// A definition is served from the very write that establishes it.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "model/catalog.h"
#include "store/store.h"

namespace estiba::apiserver {

class Definitions {
 public:
  explicit Definitions(store::Store& store) : store_(store) {}

  /// Never null; any thread.
  model::CatalogPtr catalog();

 private:
  void read_all();
  bool put(const store::Entry& entry);
  void publish();

  store::Store& store_;
  std::mutex mutex_;
  std::unique_ptr<store::Watch> changes_;                     // guarded by mutex_
  std::map<std::string, model::CustomDefinitionPtr> by_key_;  // guarded by mutex_
  model::CatalogPtr catalog_;                                 // guarded by mutex_
};

/// Where the definitions stand in the store.
inline constexpr std::string_view definitions_prefix = "/registry/apiextensions.k8s.io/customresourcedefinitions/";

}  // namespace estiba::apiserver
