// How a machine becomes a node: it learns the cluster's CA, and has certificates signed.
#pragma once
#include <string>
#include <vector>

#include "base/task.h"
#include "client/client.h"
#include "client/join_token.h"
#include "io/pki.h"

namespace estiba::server {

/// The CA (PEM) of the cluster behind `server`, from kube-public/cluster-info, which is read from whoever answers there and believed only
/// by the token's hash or the signature with its secret. Code::unavailable: nobody answers, or not as an API server does; trying again may
/// help. Code::forbidden: it is not the token's cluster, or the token is not known there.
Task<Result<std::string>> discover_ca(std::string server, client::JoinToken token);

/// What cluster-info says, checked; for tests.
Result<std::string> believed_ca(std::string_view config_map_json, const client::JoinToken& token, std::string_view server);

struct CertificateAsk {
  std::string signer;               ///< kubernetes.io/kube-apiserver-client-kubelet or kubernetes.io/kubelet-serving
  std::vector<std::string> usages;  ///< of certificates.k8s.io
  io::CertificateRequest request;
};
CertificateAsk client_certificate(const std::string& node);
CertificateAsk serving_certificate(const std::string& node, const std::string& address);

/// Makes a key, asks for its certificate, and waits until it has been approved and signed, if need be by hand. Code::forbidden: it was
/// denied. `client` outlives the task.
Task<Result<io::KeyPair>> request_certificate(client::Client& client, CertificateAsk ask);

/// Refuses a name that a live node has. `client` is one that may get nodes.
Task<Result<void>> check_name_free(client::Client& client, std::string node);

/// An error of the way to the server as a sentence with the way out.
Error explain(Error error, const std::string& server);

}  // namespace estiba::server
