// Tells who watches the node (exporters of devices' metrics, other plugins) what its pods have been given: devices of plugins, and CPUs of
// their own (podresources.v1, https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/).
//
//   <dir>/kubelet.sock   gRPC: v1.PodResourcesLister/List, Get, GetAllocatableResources
//
// On the node's thread.
#pragma once
#include <memory>
#include <string>

#include "base/task.h"
#include "io/grpc_server.h"
#include "io/loop.h"

namespace estiba::node {

class Node;

class PodResourcesApi {
 public:
  /// Both outlive it.
  PodResourcesApi(const Node& node, io::Loop& loop);
  ~PodResourcesApi();
  /// Errors: `dir` cannot be made, or somebody listens there already.
  Result<void> listen(const std::string& dir);
  Task<void> stop();

 private:
  static Task<io::GrpcAnswer> list(const Node* node);
  static Task<io::GrpcAnswer> get(const Node* node, std::string message);
  static Task<io::GrpcAnswer> allocatable(const Node* node);

  io::Loop& loop_;
  io::GrpcServer grpc_;
  std::unique_ptr<io::HttpServer> http_;
};

}  // namespace estiba::node
