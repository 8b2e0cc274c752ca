// The API client of a machine that belongs to no cluster: there are no objects, and none ever come. What needs a client to know of Services
// and NetworkPolicies works with it.
#pragma once
#include <memory>

#include "client/client.h"

namespace estiba::server {

std::unique_ptr<client::Client> make_no_cluster_client();

}  // namespace estiba::server
