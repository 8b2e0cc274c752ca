// ClaimTurns: something is done about a claim for one pod at a time, so that of several pods that come together one has it prepared and
// the others find it so, and none has it prepared while it is put away for another. On one thread.
#pragma once
#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "base/task.h"

namespace estiba::node {

class ClaimTurns {
 public:
  using Names = std::set<std::pair<std::string, std::string>>;  // namespace and name

  /// Has the claims while it lives.
  class Turn {
   public:
    Turn(ClaimTurns* turns, Names names) : turns_(turns), names_(std::move(names)) {}
    Turn(Turn&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)), names_(std::move(other.names_)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (turns_) turns_->give_back(names_);
    }

   private:
    ClaimTurns* turns_;
    Names names_;
  };

  /// All of them together, so that two who want the same ones never wait for each other.
  Task<Turn> take(Names names) {
    while (std::ranges::any_of(names, [&](const auto& name) { return taken_.contains(name); })) {
      returned_.reset();
      co_await returned_.wait();
    }
    taken_.insert(names.begin(), names.end());
    co_return Turn(this, std::move(names));
  }

 private:
  void give_back(const Names& names) {
    for (const auto& name : names) taken_.erase(name);
    returned_.set();
  }

  Names taken_;
  Event returned_;
};

}  // namespace estiba::node
