// What the kinds' rules may look at beyond the object in hand: other objects, the allocators, the cluster's settings.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/custom/definitions.h"
#include "apiserver/service_allocator.h"
#include "base/executor.h"
#include "model/object.h"
#include "store/store.h"

namespace estiba::apiserver {

class WebhookClient;
namespace admission {
class Extensions;
}

struct ClusterOptions {
  std::string service_cidr = "10.43.0.0/16";  ///< or one of each family with a comma between them, the primary one first
  std::string cluster_domain = "cluster.local";
  std::string advertise_address = "127.0.0.1";  ///< where Service default/kubernetes leads
  uint16_t port = 6443;
  uint16_t first_node_port = 30000, last_node_port = 32767;

  std::string issuer() const { return "https://kubernetes.default.svc." + cluster_domain; }
};

class Cluster {
 public:
  ~Cluster();
  static Result<std::unique_ptr<Cluster>> open(store::Store& store, ClusterOptions options);

  /// An object by group, resource and name, in its preferred version; Code::not_found worded as the API does.
  Result<model::ObjectRef> find(std::string_view group, std::string_view resource, std::string_view ns, std::string_view name) const;
  /// All of a namespace, or of all namespaces.
  Result<std::vector<model::ObjectRef>> all(std::string_view group, std::string_view resource, std::string_view ns = {}) const;

  store::Store& store() const { return store_; }
  const ServiceAllocator& services() const { return services_; }
  const ClusterOptions& options() const { return options_; }
  /// What is served now: the built-in kinds and the custom ones.
  model::CatalogPtr catalog() const { return definitions_->catalog(); }
  /// A row of the tables; built-in ones are found without looking at the catalog.
  model::ResourceRef find_resource(std::string_view group, std::string_view version, std::string_view plural, bool unserved = false) const;
  /// What calls webhooks, and what the cluster's users have added to admission: webhooks and policies.
  WebhookClient& webhooks() const { return *webhooks_; }
  admission::Extensions& extensions() const { return *extensions_; }
  /// Time of day, by the current executor's clock.
  WallTime now() const;

 private:
  Cluster(store::Store& store, ClusterOptions options, ServiceAllocator services);

  store::Store& store_;
  ClusterOptions options_;
  ServiceAllocator services_;
  std::unique_ptr<Definitions> definitions_;
  std::unique_ptr<WebhookClient> webhooks_;
  std::unique_ptr<admission::Extensions> extensions_;
};

}  // namespace estiba::apiserver
