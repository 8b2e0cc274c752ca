#include "cli/compose/progress.h"

#include <cstdio>

#include "cli/docker/terminal.h"

namespace estiba::cli::compose {
namespace {

const char* mark_of(std::string_view what) {
  if (what == "Error") return "✘";
  const bool under_way = (what.ends_with("ing") && what != "Running") || what == "Recreate";
  return under_way ? "⠿" : "✔";
}

}  // namespace

void Progress::tell(std::string_view kind, std::string_view name, std::string_view what) {
  std::lock_guard lock(mutex_);
  std::string text(kind);
  text.append(" ").append(name);
  const auto size = docker::window_size();
  if (!rows_wanted_) {
    (void)docker::print_bytes(fd_, " " + text + "  " + std::string(what) + "\n");
    return;
  }
  size_t row = 0;
  while (row < rows_.size() && rows_[row].what != text) ++row;
  const auto now = std::chrono::steady_clock::now();
  // What has left the screen above cannot be reached any more.
  const size_t distance = rows_.size() - row;
  const bool fresh = distance == 0 || (size && size->rows && distance >= size->rows);
  if (fresh) {
    if (distance) rows_[row].what.clear();
    rows_.push_back({text, distance ? rows_[row].since : now});
    row = rows_.size() - 1;
  }
  char took[32];
  std::snprintf(took, sizeof took, "  %.1fs", std::chrono::duration<double>(now - rows_[row].since).count());
  std::string line = "\x1b[2K\r " + std::string(mark_of(what)) + " " + text + "  " + std::string(what) + took;
  if (!fresh) line = "\x1b[" + std::to_string(distance) + "A" + line + "\r\x1b[" + std::to_string(distance) + "B";
  else line += "\n";
  (void)docker::print_bytes(fd_, line);
}

void Progress::settle() {
  std::lock_guard lock(mutex_);
  rows_.clear();
}

void Progress::only_lines() {
  std::lock_guard lock(mutex_);
  rows_.clear();
  rows_wanted_ = false;
}

}  // namespace estiba::cli::compose
