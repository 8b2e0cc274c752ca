#include "observe/metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/log.h"

namespace estiba::observe {

namespace {

// The label values' escapes; a help text escapes the same but for the quote.
void append_escaped(std::string& out, std::string_view text, bool quote) {
  for (char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quote) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

void append_number(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
  } else if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
  } else {
    char buffer[64];
    out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
  }
}

class CallbackFamily final : public FamilyBase {
 public:
  CallbackFamily(std::string_view type, std::string name, std::string help, UniqueFunction<double()> read)
      : FamilyBase(type, std::move(name), std::move(help), {}), read_(std::move(read)) {}

 private:
  void print_samples(std::string& out) const override { sample(out, "", {}, "", read_()); }
  mutable UniqueFunction<double()> read_;
};

}  // namespace

void Gauge::add(double delta) {
  double now = value_.load(std::memory_order_relaxed);
  while (!value_.compare_exchange_weak(now, now + delta, std::memory_order_relaxed)) {
  }
}

Histogram::Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), buckets_(new Counter[bounds_.size() + 1]) {}

void Histogram::observe(double value) {
  // The first bound that is not below the value; NaN compares with nothing and lands in the last bucket.
  size_t i =
      static_cast<size_t>(std::partition_point(bounds_.begin(), bounds_.end(), [&](double b) { return !(value <= b); }) - bounds_.begin());
  buckets_[i].add();
  sum_.add(value);
}

uint64_t Histogram::count() const {
  uint64_t total = 0;
  for (size_t i = 0; i <= bounds_.size(); ++i) total += bucket(i);
  return total;
}

std::vector<double> Histogram::exponential(double first, double factor, size_t count) {
  std::vector<double> bounds;
  for (; bounds.size() < count; first *= factor) bounds.push_back(first);
  return bounds;
}

std::vector<double> Histogram::seconds() { return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}; }

void FamilyBase::sample(std::string& out, std::string_view suffix, const Labels& labels, std::string_view extra, double value) const {
  out.append(name_).append(suffix);
  if (!labels.empty() || !extra.empty()) {
    char separator = '{';
    for (size_t i = 0; i < labels.size(); ++i) {
      out.append(1, separator).append(label_names_[i]).append("=\"");
      append_escaped(out, labels[i], true);
      out += '"';
      separator = ',';
    }
    if (!extra.empty()) out.append(1, separator).append(extra);
    out += '}';
  }
  out += ' ';
  append_number(out, value);
  out += '\n';
}

void FamilyBase::print(std::string& out) const {
  out.append("# HELP ").append(name_).append(1, ' ');
  append_escaped(out, help_, false);
  out.append("\n# TYPE ").append(name_).append(1, ' ').append(type_).append(1, '\n');
  std::lock_guard lock(mutex_);
  print_samples(out);
}

template <>
void Family<Counter>::print_samples(std::string& out) const {
  for (auto& [labels, counter] : metrics_) sample(out, "", labels, "", static_cast<double>(counter->value()));
}

template <>
void Family<Gauge>::print_samples(std::string& out) const {
  for (auto& [labels, gauge] : metrics_) sample(out, "", labels, "", gauge->value());
}

template <>
void Family<Histogram>::print_samples(std::string& out) const {
  for (auto& [labels, histogram] : metrics_) {
    uint64_t below = 0;
    for (size_t i = 0; i <= histogram->bounds().size(); ++i) {
      below += histogram->bucket(i);
      std::string bound = "le=\"";
      append_number(bound, i < histogram->bounds().size() ? histogram->bounds()[i] : HUGE_VAL);
      sample(out, "_bucket", labels, bound + '"', static_cast<double>(below));
    }
    sample(out, "_sum", labels, "", histogram->sum());
    sample(out, "_count", labels, "", static_cast<double>(below));
  }
}

Registry::Registry() = default;
Registry::~Registry() = default;

template <class Metric>
Family<Metric>& Registry::family(std::string_view type, std::string name, std::string help, std::vector<std::string> label_names,
                                 typename Family<Metric>::Make make) {
  std::lock_guard lock(mutex_);
  auto& place = families_[name];
  if (!place) place = std::make_unique<Family<Metric>>(type, name, std::move(help), std::move(label_names), std::move(make));
  if (place->type_ != type) {
    log::error("metrics", "one name is used for metrics of two types", {{"name", name}, {"type", place->type_}, {"other", type}});
    abort();
  }
  return static_cast<Family<Metric>&>(*place);
}

Family<Counter>& Registry::counters(std::string name, std::string help, std::vector<std::string> label_names) {
  return family<Counter>("counter", std::move(name), std::move(help), std::move(label_names), [] { return std::make_unique<Counter>(); });
}

Family<Gauge>& Registry::gauges(std::string name, std::string help, std::vector<std::string> label_names) {
  return family<Gauge>("gauge", std::move(name), std::move(help), std::move(label_names), [] { return std::make_unique<Gauge>(); });
}

Family<Histogram>& Registry::histograms(std::string name, std::string help, std::vector<std::string> label_names,
                                        std::vector<double> bounds) {
  return family<Histogram>("histogram", std::move(name), std::move(help), std::move(label_names),
                           [bounds = std::move(bounds)] { return std::make_unique<Histogram>(bounds); });
}

void Registry::callback(std::string name, std::string help, std::string_view type, UniqueFunction<double()> read) {
  std::lock_guard lock(mutex_);
  callbacks_[name] = std::make_unique<CallbackFamily>(type, name, std::move(help), std::move(read));
}

void Registry::forget(const std::string& name) {
  std::lock_guard lock(mutex_);
  callbacks_.erase(name);
}

std::string Registry::print() const {
  std::string out;
  std::lock_guard lock(mutex_);
  auto callback = callbacks_.begin();
  for (auto& [name, family] : families_) {
    for (; callback != callbacks_.end() && callback->first < name; ++callback) callback->second->print(out);
    family->print(out);
  }
  for (; callback != callbacks_.end(); ++callback) callback->second->print(out);
  return out;
}

Registry& metrics() {
  static Registry* registry = new Registry;  // never destroyed: threads may count until the very end
  return *registry;
}

}  // namespace estiba::observe
