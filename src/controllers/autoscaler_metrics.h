// Where an autoscaler's metrics come from: metrics.k8s.io by the client, custom.metrics.k8s.io and external.metrics.k8s.io by
// whatever extension server serves them. Values are in thousandths; errors are worded as Kubernetes words them.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "client/client.h"
#include "controllers/autoscaler_replicas.h"
#include "model/selector.h"
#include "model/types/autoscaling_v2.h"

namespace estiba::controllers {

/// GET of paths of the API that have no tables here: those of extension servers. Resumes on the controllers' thread.
class ExtensionApi {
 public:
  virtual ~ExtensionApi() = default;
  /// The body of a 200; not_found where nobody serves the path.
  virtual Task<Result<std::string>> get(std::string path, std::vector<std::pair<std::string, std::string>> query) = 0;
};

class AutoscalerMetrics {
 public:
  AutoscalerMetrics(client::Client& client, ExtensionApi* extensions) : client_(client), extensions_(extensions) {}

  /// What the pods, or one container of each, use.
  Task<Result<PodMetrics>> of_resource(std::string ns, std::string resource, std::string container, std::vector<model::ObjectRef> pods);
  Task<Result<PodMetrics>> of_pods(std::string ns, model::autoscaling_v2::MetricIdentifier metric, model::LabelSelector pods);
  /// `resource` is the described object's, as "deployments.apps".
  Task<Result<int64_t>> of_object(std::string ns, model::autoscaling_v2::MetricIdentifier metric, std::string resource, std::string name);
  Task<Result<int64_t>> external(std::string ns, model::autoscaling_v2::MetricIdentifier metric);

 private:
  using Query = std::vector<std::pair<std::string, std::string>>;
  Task<Result<json::Document>> custom(std::string rest, Query query);
  Task<Result<json::Document>> items(std::string api, std::string path, Query query);

  client::Client& client_;
  ExtensionApi* const extensions_;  // null: there are none
};

}  // namespace estiba::controllers
