// Reserve: room on the disk that is kept for the day when it is full, so that keys can still be changed and removed then.
#pragma once
#include <string>

namespace estiba::store {

/// A file whose blocks are allocated and never used; giving them up lets the log be written back and start again.
class Reserve {
 public:
  explicit Reserve(std::string path);

  /// True when the room is there, or is there now. A file system without fallocate(2) has no reserve and counts as having.
  bool ensure();
  /// Gives the room up; false when there was none.
  bool release();

 private:
  std::string path_;
  bool held_ = false;
  bool supported_ = true;
};

}  // namespace estiba::store
