// `estiba agent`: a node that joins the cluster of another machine. The same node as in the server's process (node_runner.h), behind an API
// client over HTTPS.
#pragma once
#include <memory>

#include "base/task.h"
#include "cli/flags.h"
#include "io/loop.h"
#include "server/agent_options.h"

namespace estiba::server {

class Agent {
 public:
  /// On `loop`'s thread, as everything of it.
  Agent(AgentOptions options, io::Loop& loop);
  ~Agent();
  Agent(const Agent&) = delete;

  /// Joins, the first time, and returns when the node runs pods. Waits for a server that cannot be reached; an error is final.
  Task<Result<void>> start();
  /// Containers go on.
  Task<void> stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The verb (agent_verb.cpp).
Result<int> run_agent(const cli::Arguments& arguments);

}  // namespace estiba::server
