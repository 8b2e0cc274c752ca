// Metrics: counters, gauges and histograms with labels, in a registry that prints them as Prometheus text. No HTTP here.
//
//   static auto& requests = observe::metrics().counters("apiserver_request_total", "Requests by verb and code.", {"verb", "code"});
//   requests.with({"GET", "200"}).add();
//
// Counting is one or two relaxed atomic operations. with() takes a lock: keep the reference where a label is known
// beforehand. References live as long as the registry.
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/function.h"

namespace estiba::observe {

class Counter {
 public:
  void add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double delta);
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// Counts observations by size. A reader may see an observation in one bucket before it is in the sum.
class Histogram {
 public:
  /// Upper bounds (inclusive), ascending; the last bucket, without a bound, is added by itself.
  explicit Histogram(std::vector<double> bounds);
  void observe(double value);

  const std::vector<double>& bounds() const { return bounds_; }
  /// Observations in bucket `i` alone, of bounds().size() + 1 buckets.
  uint64_t bucket(size_t i) const { return buckets_[i].value(); }
  uint64_t count() const;
  double sum() const { return sum_.value(); }

  /// `count` bounds, the first one `first` and each `factor` times the one before.
  static std::vector<double> exponential(double first, double factor, size_t count);
  /// 1 ms to 60 s, as Kubernetes' request durations.
  static std::vector<double> seconds();

 private:
  std::vector<double> bounds_;
  std::unique_ptr<Counter[]> buckets_;
  Gauge sum_;
};

using Labels = std::vector<std::string>;  ///< values, in the order of the family's label names

/// All metrics of one name, one for each combination of label values.
class FamilyBase {
 public:
  virtual ~FamilyBase() = default;
  void print(std::string& out) const;

 protected:
  friend class Registry;
  FamilyBase(std::string_view type, std::string name, std::string help, std::vector<std::string> label_names)
      : type_(type), name_(std::move(name)), help_(std::move(help)), label_names_(std::move(label_names)) {}
  virtual void print_samples(std::string& out) const = 0;
  /// `name{labels} value`; `extra` is one more label, already printed ("le=\"1\""), or empty.
  void sample(std::string& out, std::string_view suffix, const Labels& labels, std::string_view extra, double value) const;

  std::string_view type_;
  std::string name_;
  std::string help_;
  std::vector<std::string> label_names_;
  mutable std::mutex mutex_;
};

template <class Metric>
class Family final : public FamilyBase {
 public:
  using Make = UniqueFunction<std::unique_ptr<Metric>()>;
  Family(std::string_view type, std::string name, std::string help, std::vector<std::string> label_names, Make make)
      : FamilyBase(type, std::move(name), std::move(help), std::move(label_names)), make_(std::move(make)) {}

  /// The metric with these label values; missing ones are empty, surplus ones are dropped.
  Metric& with(Labels labels) {
    labels.resize(label_names_.size());
    std::lock_guard lock(mutex_);
    auto& place = metrics_[std::move(labels)];
    if (!place) place = make_();
    return *place;
  }

 private:
  void print_samples(std::string& out) const override;
  Make make_;
  std::map<Labels, std::unique_ptr<Metric>> metrics_;  // guarded by mutex_
};

template <>
void Family<Counter>::print_samples(std::string& out) const;
template <>
void Family<Gauge>::print_samples(std::string& out) const;
template <>
void Family<Histogram>::print_samples(std::string& out) const;

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(const Registry&) = delete;

  /// A name registered before gives the same family again. The same name with another type is a bug and ends the program.
  Family<Counter>& counters(std::string name, std::string help, std::vector<std::string> label_names);
  Family<Gauge>& gauges(std::string name, std::string help, std::vector<std::string> label_names);
  Family<Histogram>& histograms(std::string name, std::string help, std::vector<std::string> label_names, std::vector<double> bounds);
  Counter& counter(std::string name, std::string help) { return counters(std::move(name), std::move(help), {}).with({}); }
  Gauge& gauge(std::string name, std::string help) { return gauges(std::move(name), std::move(help), {}).with({}); }
  Histogram& histogram(std::string name, std::string help, std::vector<double> bounds) {
    return histograms(std::move(name), std::move(help), {}, std::move(bounds)).with({});
  }
  /// A value without labels that is asked for when the registry is printed, on the printing thread; it must not use the
  /// registry. `type` is "gauge" or "counter". An earlier one of the same name is replaced.
  void callback(std::string name, std::string help, std::string_view type, UniqueFunction<double()> read);
  /// Forgets the callback of a name: whoever it reads from is about to go.
  void forget(const std::string& name);

  /// Everything in name order: Prometheus text format 0.0.4 (content type "text/plain; version=0.0.4; charset=utf-8").
  std::string print() const;

 private:
  template <class Metric>
  Family<Metric>& family(std::string_view type, std::string name, std::string help, std::vector<std::string> label_names,
                         typename Family<Metric>::Make make);
  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<FamilyBase>> families_;   // guarded by mutex_
  std::map<std::string, std::unique_ptr<FamilyBase>> callbacks_;  // guarded by mutex_
};

/// The process's registry.
Registry& metrics();

}  // namespace estiba::observe
