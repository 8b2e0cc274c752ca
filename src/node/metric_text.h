// Writes Prometheus' text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats) for values that are read when somebody asks;
// what is counted all the time is in observe/metrics.h.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/executor.h"

namespace estiba::node {

using MetricLabels = std::vector<std::pair<std::string_view, std::string>>;  ///< in the order they are printed

class MetricText {
 public:
  /// Begins a family; its rows follow.
  void family(std::string_view name, std::string_view type, std::string_view help);
  /// One sample of it. `suffix` is "_bucket" and the like; `at` the epoch: without a time.
  void row(const MetricLabels& labels, double value, WallTime at = {}, std::string_view suffix = {});
  std::string take() { return std::move(out_); }

 private:
  std::string out_, name_;
};

/// As Prometheus writes numbers: "0.25", "1e+20".
std::string metric_number(double value);

}  // namespace estiba::node
