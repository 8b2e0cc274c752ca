// The API of a server on this machine, by the administrator's kubeconfig.
#pragma once
#include <memory>
#include <string>

#include "client/client.h"

namespace estiba::cli {

struct KubeAccess {
  std::unique_ptr<client::Client> client;  ///< for the loop that is current
  std::string ca_pem;
};

/// Reads the first cluster and the first user of a kubeconfig (certificates in it, or a token). Errors name the file. `server`, when
/// not empty, is asked instead of the cluster's ("https://10.0.0.1:6443").
Result<KubeAccess> open_kubeconfig(const std::string& path, const std::string& server = {});

}  // namespace estiba::cli
