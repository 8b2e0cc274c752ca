#include "node/probe_metrics.h"

#include <gtest/gtest.h>

#include "node/metric_text.h"

namespace estiba::node {
namespace {

using namespace std::chrono_literals;

TEST(MetricText, RowsAreWrittenAsPrometheusReadsThem) {
  MetricText text;
  text.family("a_total", "counter", "Counts.");
  text.row({}, 3);
  text.row({{"path", "C:\\ \"x\"\n"}, {"b", ""}}, 0.25, WallTime(1500ms));
  EXPECT_EQ(text.take(),
            "# HELP a_total Counts.\n# TYPE a_total counter\na_total 3\na_total{path=\"C:\\\\ \\\"x\\\"\\n\",b=\"\"} 0.25 1500\n");
}

TEST(ProbeMetrics, ChecksAreCountedByResultAndTimeUntilTheirPodIsGone) {
  ProbeMetrics metrics;
  const ProbeMetrics::Place web{"u1", "default", "web", "main", ProbeKind::liveness};
  metrics.add(web, true, 2ms);
  metrics.add(web, true, 30ms);
  metrics.add(web, false, 20s);
  metrics.add({"u2", "default", "other", "main", ProbeKind::readiness}, true, 1ms);
  const std::string labels = R"({container="main",namespace="default",pod="web",pod_uid="u1",probe_type="Liveness",result=)";
  std::string text = metrics.print();
  for (const std::string& line :
       {"prober_probe_total" + labels + "\"successful\"} 2\n", "prober_probe_total" + labels + "\"failed\"} 1\n",
        std::string(
            R"(prober_probe_duration_seconds_bucket{container="main",namespace="default",pod="web",probe_type="Liveness",le="0.005"} 1)"),
        std::string(R"(pod="web",probe_type="Liveness",le="0.05"} 2)"), std::string(R"(pod="web",probe_type="Liveness",le="+Inf"} 3)"),
        std::string(R"(prober_probe_duration_seconds_sum{container="main",namespace="default",pod="web",probe_type="Liveness"} 20.032)"),
        std::string(R"(pod="other",pod_uid="u2",probe_type="Readiness",result="successful"} 1)")})
    EXPECT_NE(text.find(line), std::string::npos) << line << "\nis not in\n" << text;
  metrics.forget("u1");
  text = metrics.print();
  EXPECT_EQ(text.find("web"), std::string::npos) << text;
  EXPECT_NE(text.find("other"), std::string::npos);
}

}  // namespace
}  // namespace estiba::node
