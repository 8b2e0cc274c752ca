// kubectl's exec, attach and port-forward sessions, joined to the engine's streams.
#pragma once
#include <string>

#include "io/remote_command.h"
#include "io/stream.h"
#include "node/node.h"

namespace estiba::node {

Task<void> serve_exec(const Context& context, io::Request& request, io::Response& response, std::string container_id);
Task<void> serve_attach(const Context& context, io::Request& request, io::Response& response, std::string container_id);
/// A connection to a port of the pod, made in its network namespace.
Task<Result<io::StreamPtr>> dial_pod(engine::Engine* engine, std::string uid, uint16_t port);

/// An event that is set when a container has ended (or has ended already); for followers of its log.
class ExitWatch {
 public:
  ExitWatch(Node& node, std::string container_id);
  ~ExitWatch();
  ExitWatch(const ExitWatch&) = delete;
  Event* event() { return &event_; }

 private:
  friend class Node;
  Node& node_;
  const std::string id_;
  Event event_;
};

}  // namespace estiba::node
