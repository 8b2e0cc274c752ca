// The label by which a Node says that it serves Ingresses and Gateways (ingress::serving_label), so that clients are told its address.
#pragma once
#include <string>

#include "base/task.h"
#include "client/client.h"

namespace estiba::server {

/// Makes the Node say so, or not, and ends; tries again while the server is away. A new Node has the label from the beginning: this is for
/// one that was made by an earlier start with other flags. `client` outlives the task.
Task<void> keep_serving_label(client::Client& client, std::string node, bool serves);

}  // namespace estiba::server
