// The in-process client::Client: the same actions that HTTP requests become, run on the caller's executor under a fixed
// identity. Objects are handed over as they are kept: no copies, no encoding.
#pragma once
#include <memory>
#include <string>

#include "apiserver/server.h"
#include "client/client.h"

namespace estiba::server {

/// For a component of the control plane ("system:kube-controller-manager"), which acts as a member of system:masters.
/// `api` outlives the client and its calls. A client belongs to one executor.
std::unique_ptr<client::Client> make_local_client(apiserver::Api& api, std::string user_name);

}  // namespace estiba::server
