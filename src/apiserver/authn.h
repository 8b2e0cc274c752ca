// Who asks: a client certificate (CN is the name, O the groups), a service account's token, a bootstrap token, or the token of an
// OpenID Connect provider. Anonymous callers are a user of their own, system:anonymous, who may see nothing but the health checks and the
// version.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "apiserver/action.h"
#include "apiserver/cluster.h"
#include "apiserver/oidc.h"
#include "io/http_server.h"
#include "io/jwt.h"

namespace estiba::apiserver {

inline constexpr std::string_view anonymous_name = "system:anonymous";

/// What a service account's token says once it has been verified.
struct TokenInfo {
  User user;
  std::vector<std::string> audiences;
};

struct AuthnOptions {
  std::string signing_key_pem;        ///< signs service accounts' tokens, and verifies them
  std::vector<std::string> keys_pem;  ///< verify them, too: keys that signed before or will sign next; one or several in each
  OidcOptions oidc;
};

class Authenticator {
 public:
  static Result<std::unique_ptr<Authenticator>> make(Cluster& cluster, AuthnOptions options);

  /// Code::unauthorized when credentials were presented that do not hold.
  Result<User> authenticate(const io::Request& request) const;
  /// The bearer token, when it says that it is of the OpenID Connect provider and nothing else says who asks; else empty. Such a token
  /// is for authenticate_foreign(), which may have to ask the provider.
  std::string foreign_token(const io::Request& request) const;
  bool is_foreign(std::string_view token) const { return oidc_ && oidc_->claims_issuer(token); }
  Task<Result<User>> authenticate_foreign(std::string token) { return oidc_->authenticate(std::move(token)); }
  /// A service account's or bootstrap token for one of these audiences; empty means the API's own.
  Result<TokenInfo> verify_token(std::string_view token, const std::vector<std::string>& audiences) const;

  struct TokenSubject {
    std::string ns, service_account, service_account_uid;
    std::string pod, pod_uid, node, node_uid, secret, secret_uid;  ///< what it is bound to, when not empty
  };
  struct TokenTimes {
    WallTime from, until;
    std::optional<WallTime> warn_after;  ///< who uses it later should have asked for a new one
  };
  Result<std::string> issue_token(const TokenSubject& subject, const std::vector<std::string>& audiences, TokenTimes times) const;
  /// What tokens for the API itself are for.
  std::vector<std::string> own_audiences() const;
  /// The public keys, for /openid/v1/jwks: {"keys":[…]}.
  const std::string& jwks() const { return jwks_; }
  /// The algorithm of what is signed here.
  std::string_view algorithm() const { return signer_.algorithm(); }

 private:
  Authenticator(Cluster& cluster, io::JwtSigner signer, io::JwtVerifier verifier)
      : cluster_(cluster), signer_(std::move(signer)), verifier_(std::move(verifier)) {}
  Cluster& cluster_;
  io::JwtSigner signer_;
  io::JwtVerifier verifier_;
  std::string jwks_;
  std::unique_ptr<Oidc> oidc_;
};

}  // namespace estiba::apiserver
