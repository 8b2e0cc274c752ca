// Spares: things of one kind that this thread has had and will need again with its next message. Internal to io/.
#pragma once
#include <optional>
#include <vector>

namespace estiba::io {

/// At most `most` of them are kept, per thread.
template <class T, size_t most>
class Spares {
 public:
  ~Spares() { ended = true; }
  static std::optional<T> take() {
    if (ended || here.kept_.empty()) return std::nullopt;
    std::optional<T> out(std::move(here.kept_.back()));
    here.kept_.pop_back();
    return out;
  }
  static void give(T one) {
    if (!ended && here.kept_.size() < most) here.kept_.push_back(std::move(one));
  }

 private:
  static thread_local Spares here;
  static thread_local bool ended;  // the thread is, and what is given back then goes
  std::vector<T> kept_;
};
template <class T, size_t most>
thread_local Spares<T, most> Spares<T, most>::here;
template <class T, size_t most>
thread_local bool Spares<T, most>::ended = false;

}  // namespace estiba::io
