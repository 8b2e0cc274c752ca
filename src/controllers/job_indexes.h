// Completion indexes of an Indexed Job, as its status writes them: "1,3-5,7".
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace estiba::controllers {

class IndexSet {
 public:
  /// What is malformed, or not below `completions`, is left out.
  static IndexSet parse(std::string_view text, int64_t completions);
  /// In increasing order; three or more in a row are written as first and last with a hyphen.
  std::string text() const;

  void add(int64_t index);
  bool contains(int64_t index) const;
  int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  struct Range {
    int64_t first, last;
  };
  std::vector<Range> ranges_;  // apart from each other, in order
  int64_t size_ = 0;
};

}  // namespace estiba::controllers
