// What is done to each resource, a row each: on a terminal a row is rewritten as its resource gets on, elsewhere each step is a line.
#pragma once
#include <chrono>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace estiba::cli::compose {

/// Used by several threads at once.
class Progress {
 public:
  /// `rows`: what a terminal shows may be rewritten.
  explicit Progress(bool rows, int fd = 2) : rows_wanted_(rows), fd_(fd) {}
  /// " ✔ Container app-web-1  Started  0.3s", or " Container app-web-1  Started" without rows.
  void tell(std::string_view kind, std::string_view name, std::string_view what);
  /// Somebody else writes on the terminal next: what is there stays as it is.
  void settle();
  /// settle(), and no more rows: others write at the same time.
  void only_lines();

 private:
  struct Row {
    std::string what;
    std::chrono::steady_clock::time_point since;
  };
  std::mutex mutex_;
  bool rows_wanted_;       // guarded by mutex_, as is what follows
  std::vector<Row> rows_;  // those that can still be rewritten, the lowest last
  const int fd_;
};

}  // namespace estiba::cli::compose
