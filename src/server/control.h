// The controllers and the scheduler of a server: at once where it is alone with its store, and only while it leads where
// several servers share one.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "apiserver/cluster_info.h"
#include "apiserver/server.h"
#include "autoscale/node_groups.h"
#include "base/task.h"
#include "controllers/autoscaler_metrics.h"
#include "controllers/catalog/brokers.h"
#include "controllers/options.h"
#include "ingress/ingress_rules.h"
#include "io/pki.h"
#include "scheduler/configuration.h"

namespace estiba::server {

struct ControlOptions {
  io::KeyPair ca;  ///< the cluster's: published in every namespace, and what signs certificate requests
  std::unique_ptr<controllers::ExtensionApi> extensions;  ///< used on the controllers' thread
  std::unique_ptr<controllers::Brokers> brokers;          ///< likewise; null without a service catalogue
  apiserver::ClusterInfo info;                            ///< published by the server that leads
  controllers::Options told;                              ///< what else they are told
  scheduler::Configuration scheduler{};
  std::optional<autoscale::NodeGroups> node_groups{};  ///< none: no autoscaler of nodes, and no thread for it
  bool elect = false;                                  ///< several servers may share the store
  ingress::IngressPorts ingress_ports{};               ///< what the status of Ingresses and Gateways goes by
  std::string identity;                                ///< the beginning of this server's name among the candidates
};

class Control {
 public:
  /// `api` outlives this.
  Control(apiserver::Api& api, ControlOptions options);
  ~Control();
  Control(const Control&) = delete;

  void start();
  /// Stops them and gives the lease back; the API must still answer. Not on one of their own threads.
  Task<void> stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace estiba::server
