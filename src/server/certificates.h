// The cluster's keys and certificates, made at the first start and kept in the pki directory:
//
//   ca.crt, ca.key                            signs everything
//   server.crt, server.key                    the API server's; made again when its names change or it is about to expire
//   admin.crt, admin.key                      system:masters, in the kubeconfig
//   kubelet-client.crt, kubelet-client.key    what the API server shows to nodes
//   node.crt, node.key                        the node API's server certificate
//   front-proxy-ca.crt, front-proxy-ca.key    signs what the API server shows extension servers
//   front-proxy-client.crt, .key              that certificate
//   sa.key                                    signs service-account tokens
#pragma once
#include <string>
#include <vector>

#include "io/pki.h"
#include "server/options.h"

namespace estiba::server {

struct Certificates {
  io::KeyPair ca, server, admin, kubelet_client, node, front_proxy_ca, front_proxy_client;
  std::string service_account_key;  ///< PEM
};

/// Loads what is there and makes what is missing. Every file is written whole or not at all.
Result<Certificates> prepare_certificates(const std::string& dir, const std::vector<std::string>& names, const std::string& node_name,
                                          WallTime now);

/// The names and addresses that the API server's certificate must hold.
std::vector<std::string> server_names(const Options& options, const std::string& first_service_address);

/// Writes the administrator's kubeconfig, mode 0600.
Result<void> write_kubeconfig(const std::string& path, const Certificates& certificates, const std::string& address, uint16_t port);

}  // namespace estiba::server
