// The node's own API (the kubelet's, port 10250): logs, exec, attach and port-forward for the API server, and health.
//
//   GET  /containerLogs/{ns}/{pod}/{container}?follow=…&tailLines=…
//   GET|POST /exec/{ns}/{pod}/{container}?command=…&input=1&output=1&error=1&tty=1      WebSocket or SPDY
//   GET|POST /attach/{ns}/{pod}/{container}?input=1&output=1&error=1&tty=1
//   GET|POST /portForward/{ns}/{pod}
//   GET  /healthz, /pods, /runningpods/, /configz, /metrics, /metrics/resource, /metrics/cadvisor, /metrics/probes, /stats/summary
//
// Who may ask is said in node/callers.h.
#pragma once
#include <memory>

#include "io/http_server.h"
#include "io/loop.h"
#include "node/callers.h"
#include "node/layer_sizes.h"
#include "node/node.h"
#include "node/usage.h"

namespace estiba::node {

class NodeApi {
 public:
  /// On the node's loop. `tls` must ask for client certificates.
  NodeApi(Node& node, io::Loop& loop);
  Result<void> listen(const std::string& host, uint16_t port, io::TlsContextRef tls);
  Task<void> stop() { return server_.drain(std::chrono::seconds(0)); }

 private:
  static Task<void> handle(NodeApi* self, io::Request& request, io::Response& response);
  Node& node_;
  Callers callers_;
  Usage usage_;
  LayerSizes layers_;
  io::HttpServer server_;
};

}  // namespace estiba::node
