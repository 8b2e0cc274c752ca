// The resources of the service catalogue, and names that its objects are known by.
#pragma once
#include <string_view>

#include "client/client.h"

namespace estiba::controllers::catalog {

inline constexpr std::string_view group = "servicecatalog.k8s.io";
inline constexpr std::string_view finalizer = "kubernetes-incubator/service-catalog";

/// The kinds of which there is one for the cluster and one for namespaces.
struct Scope {
  bool cluster;
  client::Resource brokers, classes, plans;
  std::string_view broker_kind;
  // Fields by which they refer to each other.
  std::string_view broker_field, class_reference, plan_reference;
};
inline constexpr Scope cluster_scope{true,
                                     {group, "v1beta1", "clusterservicebrokers"},
                                     {group, "v1beta1", "clusterserviceclasses"},
                                     {group, "v1beta1", "clusterserviceplans"},
                                     "ClusterServiceBroker",
                                     "clusterServiceBrokerName",
                                     "clusterServiceClassRef",
                                     "clusterServicePlanRef"};
inline constexpr Scope namespaced_scope{false,
                                        {group, "v1beta1", "servicebrokers"},
                                        {group, "v1beta1", "serviceclasses"},
                                        {group, "v1beta1", "serviceplans"},
                                        "ServiceBroker",
                                        "serviceBrokerName",
                                        "serviceClassRef",
                                        "servicePlanRef"};

inline constexpr client::Resource instances{group, "v1beta1", "serviceinstances"};
inline constexpr client::Resource bindings{group, "v1beta1", "servicebindings"};

}  // namespace estiba::controllers::catalog
