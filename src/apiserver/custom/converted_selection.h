// Selectable fields of a custom kind whose versions a webhook converts. What such a field says is known only of an object in the version
// that was asked for, so everything that labels, name and namespace choose is converted first.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "apiserver/registry.h"
#include "apiserver/selection.h"
#include "apiserver/watcher.h"

namespace estiba::apiserver {

class ConvertedSelection {
 public:
  /// None when the action's selectors can be told from what is stored.
  static Result<std::optional<ConvertedSelection>> make(const Action& action);

  /// The action without the fields that have to wait.
  const Action& wider() const { return wider_; }
  /// Drops what does not match; the objects are in the action's version.
  void keep_matching(std::vector<model::ObjectRef>& objects) const;

  /// What matches where a watch starts …
  void begin(const std::vector<model::ObjectRef>& matching);
  /// … and the items of the wider watch, in the action's version, as those of the narrower one: objects come and go as they start and stop
  /// matching.
  void choose(std::vector<WatchItem>& items);

 private:
  ConvertedSelection(Action wider, Selection selection) : wider_(std::move(wider)), selection_(std::move(selection)) {}
  bool matches(const model::ObjectRef& object) const;

  Action wider_;
  Selection selection_;
  std::map<std::string, model::ObjectRef> matching_;  // of a watch: by namespace and name, as last seen
};

/// A list of a custom kind in the action's version.
Task<Result<Page>> list_custom(Registry& registry, const Action& action);

}  // namespace estiba::apiserver
