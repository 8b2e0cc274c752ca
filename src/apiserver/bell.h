// Bell: for coroutines that read everything again when something stored has changed.
#pragma once
#include <memory>
#include <string>

#include "base/executor.h"
#include "base/task.h"
#include "store/store.h"

namespace estiba::apiserver {

/// Sets an event of the caller's executor when something below a prefix changes.
class Bell {
 public:
  Bell(store::Store& store, std::string prefix) : store_(store), prefix_(std::move(prefix)) {}
  /// Whether something has changed since (also when that is not known: at first, and after falling behind); from now on the next change
  /// sets `event`. Who reads afterwards misses nothing.
  bool listen(const std::shared_ptr<Event>& event);

 private:
  store::Store& store_;
  const std::string prefix_;
  std::unique_ptr<store::Watch> watch_;
};

}  // namespace estiba::apiserver
