// Who asks: a client certificate (CN is the name, O the groups) or a service account's token. Anonymous callers are a user
// of their own, system:anonymous, who may see nothing but the health checks and the version.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "apiserver/action.h"
#include "apiserver/cluster.h"
#include "io/http_server.h"
#include "io/jwt.h"

namespace estiba::apiserver {

inline constexpr std::string_view anonymous_name = "system:anonymous";

/// What a service account's token says once it has been verified.
struct TokenInfo {
  User user;
  std::vector<std::string> audiences;
};

class Authenticator {
 public:
  /// `signing_key_pem` signs and verifies service accounts' tokens.
  static Result<std::unique_ptr<Authenticator>> make(Cluster& cluster, std::string_view signing_key_pem);

  /// Code::unauthorized when credentials were presented that do not hold.
  Result<User> authenticate(const io::Request& request) const;
  /// A token for one of these audiences; empty means the API's own.
  Result<TokenInfo> verify_token(std::string_view token, const std::vector<std::string>& audiences) const;

  struct TokenSubject {
    std::string ns, service_account, service_account_uid;
    std::string pod, pod_uid, node, node_uid, secret, secret_uid;  ///< what it is bound to, when not empty
  };
  Result<std::string> issue_token(const TokenSubject& subject, const std::vector<std::string>& audiences, WallTime from,
                                  WallTime until) const;
  /// The public keys, for /openid/v1/jwks.
  const std::string& jwk() const { return signer_.jwk(); }

 private:
  Authenticator(Cluster& cluster, io::JwtSigner signer, io::JwtVerifier verifier)
      : cluster_(cluster), signer_(std::move(signer)), verifier_(std::move(verifier)) {}
  Cluster& cluster_;
  io::JwtSigner signer_;
  io::JwtVerifier verifier_;
};

}  // namespace estiba::apiserver
