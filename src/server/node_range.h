// A node's part of the pods' addresses.
#pragma once
#include <string>

#include "base/task.h"
#include "client/client.h"
#include "node/context.h"

namespace estiba::server {

/// The podCIDRs of the Node with a comma between them, which is made if it is not there; waits until the controllers have given it some.
/// `client` outlives the task.
Task<Result<std::string>> node_range(client::Client& client, node::Options options);

}  // namespace estiba::server
