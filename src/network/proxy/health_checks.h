// Tells load balancers whether this node has endpoints of a Service with externalTrafficPolicy Local: GET at the Service's
// spec.healthCheckNodePort answers 200 or 503 (kubernetes.io/docs/tasks/access-application-cluster/create-external-load-balancer). A port
// is open only while there is such a Service.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "io/http_server.h"
#include "network/service_objects.h"

namespace estiba::network {

class HealthChecks {
 public:
  /// Used on the thread of the current io::Loop. `objects` outlives it.
  HealthChecks(std::string node_name, ServiceObjects& objects);
  ~HealthChecks();
  HealthChecks(const HealthChecks&) = delete;

 private:
  struct Check {
    std::string service;
    uint16_t port = 0;
    size_t endpoints = 0;
    std::unique_ptr<io::HttpServer> server;
  };
  void refresh(const std::string& service);
  static void open(Check& check);
  static Task<void> answer(const Check& check, io::Response& response);

  std::string node_name_;
  ServiceObjects& objects_;
  std::map<std::string, std::unique_ptr<Check>> checks_;
};

}  // namespace estiba::network
