#include "observe/metrics.h"

#include <gtest/gtest.h>

#include <thread>

namespace estiba::observe {
namespace {

TEST(Metrics, PrintsPrometheusText) {
  Registry registry;
  auto& requests = registry.counters("requests_total", "Requests\nby \\ verb.", {"verb", "path"});
  requests.with({"GET", "/a\"b\\c\nd"}).add(3);
  requests.with({"GET"}).add();
  registry.gauge("depth", "How deep.").set(-1.5);
  auto& seconds = registry.histogram("wait_seconds", "Waits.", {0.1, 1, 10});
  for (double s : {0.05, 0.1, 0.5, 100.0}) seconds.observe(s);
  registry.callback("now", "Asked for.", "gauge", [] { return 42.0; });
  EXPECT_EQ(registry.print(),
            "# HELP depth How deep.\n# TYPE depth gauge\ndepth -1.5\n"
            "# HELP now Asked for.\n# TYPE now gauge\nnow 42\n"
            "# HELP requests_total Requests\\nby \\\\ verb.\n# TYPE requests_total counter\n"
            "requests_total{verb=\"GET\",path=\"\"} 1\n"
            "requests_total{verb=\"GET\",path=\"/a\\\"b\\\\c\\nd\"} 3\n"
            "# HELP wait_seconds Waits.\n# TYPE wait_seconds histogram\n"
            "wait_seconds_bucket{le=\"0.1\"} 2\nwait_seconds_bucket{le=\"1\"} 3\nwait_seconds_bucket{le=\"10\"} 3\n"
            "wait_seconds_bucket{le=\"+Inf\"} 4\nwait_seconds_sum 100.65\nwait_seconds_count 4\n");
  registry.forget("now");
  EXPECT_EQ(registry.print().find("now"), std::string::npos);
}

TEST(Metrics, LabelledHistogramsPutTheBoundLast) {
  Registry registry;
  registry.histograms("h", "", {"verb"}, {1}).with({"GET"}).observe(2);
  EXPECT_NE(registry.print().find("h_bucket{verb=\"GET\",le=\"1\"} 0\nh_bucket{verb=\"GET\",le=\"+Inf\"} 1\n"), std::string::npos);
}

TEST(Metrics, TheSameNameIsTheSameMetric) {
  Registry registry;
  registry.counter("c", "help").add();
  registry.counter("c", "help").add();
  EXPECT_EQ(registry.counter("c", "help").value(), 2u);
  EXPECT_DEATH(registry.gauge("c", "help"), "two types");
}

TEST(Metrics, NothingIsLostBetweenThreads) {
  Registry registry;
  auto& counters = registry.counters("c", "", {"thread"});
  auto& gauge = registry.gauge("g", "");
  auto& histogram = registry.histogram("h", "", Histogram::exponential(1, 2, 5));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        counters.with({std::to_string(i % 2)}).add();
        gauge.add(1);
        histogram.observe(i % 40);
      }
    });
  }
  registry.print();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(counters.with({"0"}).value() + counters.with({"1"}).value(), 20000u);
  EXPECT_EQ(gauge.value(), 20000);
  EXPECT_EQ(histogram.count(), 20000u);
  EXPECT_EQ(histogram.bounds().back(), 16);
}

}  // namespace
}  // namespace estiba::observe
