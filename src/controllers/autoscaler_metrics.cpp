#include "controllers/autoscaler_metrics.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <set>

#include "base/go_duration.h"
#include "controllers/pod_facts.h"
#include "model/quantity.h"

namespace estiba::controllers {

using json::Node;
using model::autoscaling_v2::MetricIdentifier;
using namespace std::chrono_literals;

namespace {

constexpr client::Resource pod_metrics{"metrics.k8s.io", "v1beta1", "pods"};
constexpr Duration usual_window = 1min;  // of a custom metric that does not say

// nullopt when the resource is missing in what counts.
std::optional<int64_t> usage_of(const Node& item, const std::string& resource, const std::string& container) {
  const Node* containers = item.find("containers");
  if (!containers || !containers->is_array() || containers->empty()) return std::nullopt;
  int64_t sum = 0;
  bool seen = false;
  for (const Node& each : *containers) {
    if (!container.empty() && each.string_at("name") != container) continue;
    const Node* used = each.at("usage", resource);
    if (!used) return std::nullopt;
    sum += model::quantity_to_milli(used->as_string());
    seen = true;
  }
  return seen ? std::optional(sum) : std::nullopt;
}

}  // namespace

Task<Result<PodMetrics>> AutoscalerMetrics::of_resource(std::string ns, std::string resource, std::string container,
                                                        std::vector<model::ObjectRef> pods) {
  auto listed = co_await client_.list(pod_metrics, ns);
  if (!listed) co_return std::unexpected(std::move(listed.error()).context("unable to fetch metrics from resource metrics API"));
  std::set<std::string> names;
  for (const model::ObjectRef& pod : pods) names.insert(pod.meta().name);
  PodMetrics metrics;
  bool any = false;
  for (const model::ObjectRef& object : listed->items) {
    if (!names.contains(object.meta().name)) continue;
    any = true;
    const json::Document item = CO_TRY(json::Document::parse(object.object->json()));
    if (const auto used = usage_of(item.root(), resource, container))
      metrics[object.meta().name] = {*used, time_or_epoch(item.root().string_at("timestamp")),
                                     parse_go_duration(item.root().string_at("window")).value_or(Duration{})};
  }
  if (!any) co_return fail(Code::unavailable, "no metrics returned from resource metrics API");
  co_return metrics;
}

Task<Result<json::Document>> AutoscalerMetrics::items(std::string api, std::string path, Query query) {
  const std::string about = "unable to fetch metrics from " + api + " metrics API";
  if (!extensions_) co_return fail(Code::not_found, about + ": no extension server serves it");
  auto body = co_await extensions_->get(std::move(path), std::move(query));
  if (!body) co_return std::unexpected(std::move(body.error()).context(about));
  json::Document answer = CO_TRY_AS(about, json::Document::parse(*body));
  const Node* list = answer.root().find("items");
  if (!list || !list->is_array() || list->empty()) co_return fail(Code::unavailable, "no metrics returned from " + api + " metrics API");
  co_return answer;
}

Task<Result<json::Document>> AutoscalerMetrics::custom(std::string rest, Query query) {
  const std::string root = "/apis/custom.metrics.k8s.io/";
  auto answer = co_await items("custom", root + "v1beta2" + rest, query);
  if (answer || answer.error().code != Code::not_found) co_return answer;
  co_return co_await items("custom", root + "v1beta1" + rest, std::move(query));
}

Task<Result<PodMetrics>> AutoscalerMetrics::of_pods(std::string ns, MetricIdentifier metric, model::LabelSelector pods) {
  Query query{{"labelSelector", pods.print()}};
  if (metric.selector) query.emplace_back("metricLabelSelector", CO_TRY(model::LabelSelector::from(*metric.selector)).print());
  const json::Document answer = CO_TRY(co_await custom("/namespaces/" + ns + "/pods/*/" + metric.name, std::move(query)));
  PodMetrics metrics;
  for (const Node& item : *answer.root().find("items")) {
    const Node* window = item.find("windowSeconds");
    const auto seconds = window ? window->as_int() : std::nullopt;
    metrics[std::string(item.string_at("describedObject", "name"))] = {model::quantity_to_milli(item.string_at("value")),
                                                                       time_or_epoch(item.string_at("timestamp")),
                                                                       seconds ? Duration(std::chrono::seconds(*seconds)) : usual_window};
  }
  co_return metrics;
}

Task<Result<int64_t>> AutoscalerMetrics::of_object(std::string ns, MetricIdentifier metric, std::string resource, std::string name) {
  Query query;
  if (metric.selector) query.emplace_back("metricLabelSelector", CO_TRY(model::LabelSelector::from(*metric.selector)).print());
  // A namespace can only be the autoscaler's own.
  const std::string path = resource == "namespaces" ? "/namespaces/" + ns + "/metrics/" + metric.name
                                                    : "/namespaces/" + ns + "/" + resource + "/" + name + "/" + metric.name;
  const json::Document answer = CO_TRY(co_await custom(path, std::move(query)));
  co_return model::quantity_to_milli(answer.root().find("items")->begin()->string_at("value"));
}

Task<Result<int64_t>> AutoscalerMetrics::external(std::string ns, MetricIdentifier metric) {
  Query query;
  if (metric.selector) query.emplace_back("labelSelector", CO_TRY(model::LabelSelector::from(*metric.selector)).print());
  const json::Document answer =
      CO_TRY(co_await items("external", "/apis/external.metrics.k8s.io/v1beta1/namespaces/" + ns + "/" + metric.name, std::move(query)));
  int64_t sum = 0;
  for (const Node& item : *answer.root().find("items"))
    if (__builtin_add_overflow(sum, model::quantity_to_milli(item.string_at("value")), &sum)) sum = std::numeric_limits<int64_t>::max();
  co_return sum;
}

}  // namespace estiba::controllers
