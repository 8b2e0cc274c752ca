// A set of numbered things, CPUs or NUMA nodes, in the kernel's list format ("0-3,8", cpuset(7) FORMATS).
#pragma once
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::node {

class CpuSet {
 public:
  CpuSet() = default;
  CpuSet(std::initializer_list<int> numbers) : numbers_(numbers) {}

  /// "0-3,8"; the empty text is the empty set. Errors (malformed) quote it.
  static Result<CpuSet> parse(std::string_view text);
  std::string text() const;

  bool empty() const { return numbers_.empty(); }
  size_t size() const { return numbers_.size(); }
  bool contains(int number) const { return numbers_.contains(number); }
  bool contains_all(const CpuSet& other) const;
  void insert(int number) { numbers_.insert(number); }
  auto begin() const { return numbers_.begin(); }
  auto end() const { return numbers_.end(); }

  CpuSet operator|(const CpuSet& other) const;
  CpuSet operator&(const CpuSet& other) const;
  CpuSet operator-(const CpuSet& other) const;
  CpuSet& operator|=(const CpuSet& other) { return *this = *this | other; }
  CpuSet& operator-=(const CpuSet& other) { return *this = *this - other; }
  bool operator==(const CpuSet&) const = default;

 private:
  std::set<int> numbers_;
};

}  // namespace estiba::node
