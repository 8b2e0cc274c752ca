// Keeping up with what is stored: for who makes something of stored objects and brings it up to date before each use.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/store.h"

namespace estiba::apiserver {

/// Not for several threads at once.
class Follower {
 public:
  using All = std::function<void(const std::vector<store::EntryPtr>& entries)>;
  using One = std::function<void(const store::Event& event)>;

  Follower(store::Store& store, std::string_view prefix) : store_(store), prefix_(prefix) {}
  /// `all` gets everything below the prefix, the first time and after falling behind; `one` what has changed since. Where the store
  /// cannot be read nothing is called, and the next time tries again. Without changes it costs a look at the store's position.
  void catch_up(const All& all, const One& one);

 private:
  void read_all(const All& all);

  store::Store& store_;
  const std::string prefix_;
  std::unique_ptr<store::Watch> changes_;
};

}  // namespace estiba::apiserver
