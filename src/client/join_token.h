// What a machine shows to become a node: a bootstrap token, and which cluster it means.
//
//   ID.SECRET                 kubeadm's form; the cluster proves by a signature with SECRET that it knows it (cluster-info)
//   ID.SECRET@sha256:HEX      with the hash of the CA's public key (kubeadm's --discovery-token-ca-cert-hash), which is believed alone
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace estiba::client {

/// The group of those who come by a token that `estiba token` or `estiba server --token` has made: it may ask for a node's certificate.
inline constexpr std::string_view joining_group = "system:bootstrappers:estiba:nodes";

struct JoinToken {
  std::string id, secret;
  std::string ca_hash;  ///< "sha256:…", or empty

  /// What is sent as the bearer token.
  std::string bearer() const { return id + "." + secret; }
  std::string text() const { return ca_hash.empty() ? bearer() : bearer() + "@" + ca_hash; }
};

/// Malformed says what a token looks like; it does not repeat the secret.
Result<JoinToken> parse_join_token(std::string_view text);
/// A new one.
JoinToken make_join_token(std::string ca_hash);

/// The Secret kube-system/bootstrap-token-ID that lets the token in, as JSON. `expiration` is RFC 3339, or empty: never.
std::string token_secret(const JoinToken& token, std::string_view description, std::string_view expiration);

}  // namespace estiba::client
