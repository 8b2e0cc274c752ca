// Pieces: a long answer as it is written, in pieces of a size that the allocator keeps at hand. As one string it would be copied each time
// that it outgrows its room, and its memory would come from the kernel and go back there for every request.
#pragma once
#include <string>
#include <utility>

#include "io/http.h"

namespace estiba::apiserver {

class Pieces {
 public:
  static constexpr size_t piece_size = 64 * 1024;

  /// Where to append. Call it again for each part of the answer, of some KiB at most.
  std::string& out() {
    if (piece_.size() >= piece_size) {
      finish_piece();
      piece_.reserve(piece_size + piece_size / 8);
    }
    return piece_;
  }
  io::Body take() {
    finish_piece();
    return std::exchange(body_, {});
  }

 private:
  void finish_piece() { body_.add(io::Chunk(std::exchange(piece_, {}))); }
  std::string piece_;
  io::Body body_;
};

}  // namespace estiba::apiserver
