#include "node/probe_metrics.h"

#include "node/metric_text.h"

namespace estiba::node {

static std::string kind_name(ProbeKind kind) {
  return kind == ProbeKind::startup ? "Startup" : kind == ProbeKind::liveness ? "Liveness" : "Readiness";
}

void ProbeMetrics::add(const Place& place, bool ok, Duration took) {
  Said& said = said_[place];
  ++(ok ? said.successes : said.failures);
  const double seconds = std::chrono::duration<double>(took).count();
  said.seconds += seconds;
  for (size_t i = 0; i < std::size(bounds); ++i)
    if (seconds <= bounds[i]) ++said.buckets[i];
}

void ProbeMetrics::forget(const std::string& pod_uid) {
  std::erase_if(said_, [&](const auto& entry) { return entry.first.pod_uid == pod_uid; });
}

std::string ProbeMetrics::print() const {
  MetricText text;
  text.family("prober_probe_total", "counter",
              "[BETA] Cumulative number of a liveness, readiness or startup probe for a container by result.");
  for (const auto& [place, said] : said_)
    for (const auto& [result, count] : {std::pair("successful", said.successes), {"failed", said.failures}})
      if (count)
        text.row({{"container", place.container},
                  {"namespace", place.ns},
                  {"pod", place.pod},
                  {"pod_uid", place.pod_uid},
                  {"probe_type", kind_name(place.kind)},
                  {"result", result}},
                 double(count));
  text.family("prober_probe_duration_seconds", "histogram", "[ALPHA] Duration in seconds for a probe response.");
  for (const auto& [place, said] : said_) {
    const MetricLabels labels{
        {"container", place.container}, {"namespace", place.ns}, {"pod", place.pod}, {"probe_type", kind_name(place.kind)}};
    const auto bucket = [&](std::string bound, uint64_t count) {
      MetricLabels more = labels;
      more.emplace_back("le", std::move(bound));
      text.row(more, double(count), {}, "_bucket");
    };
    for (size_t i = 0; i < std::size(bounds); ++i) bucket(metric_number(bounds[i]), said.buckets[i]);
    const uint64_t all = said.successes + said.failures;
    bucket("+Inf", all);
    text.row(labels, said.seconds, {}, "_sum");
    text.row(labels, double(all), {}, "_count");
  }
  return text.take();
}

}  // namespace estiba::node
