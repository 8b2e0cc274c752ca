// The key sequence by which a user leaves a session and lets the container go on ("ctrl-p,ctrl-q").
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::docker {

/// "ctrl-p,ctrl-q", "a", "ctrl-@,x" to the bytes that a terminal sends; "" gives the default, ctrl-p ctrl-q. Unknown names are
/// Code::malformed in Docker's words.
Result<std::string> parse_detach_keys(std::string_view text);

/// Watches what a user types. Bytes that may be the beginning of the sequence are held back until it is clear.
class DetachKeys {
 public:
  explicit DetachKeys(std::string keys) : keys_(std::move(keys)) {}
  /// What goes on to the container now. After detached() nothing does.
  std::string filter(std::string_view typed);
  bool detached() const { return detached_; }

 private:
  std::string keys_;
  size_t matched_ = 0;
  bool detached_ = false;
};

}  // namespace estiba::docker
