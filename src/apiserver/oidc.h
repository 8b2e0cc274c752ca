// Users of an OpenID Connect provider: their ID tokens name them (kube-apiserver's --oidc-* flags).
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apiserver/action.h"
#include "apiserver/cluster.h"
#include "base/task.h"
#include "io/jwt.h"
#include "io/tls.h"

namespace estiba::apiserver {

struct OidcOptions {
  std::string issuer_url;  ///< empty: OpenID Connect is not used
  std::string client_id;   ///< must be among a token's audiences
  std::string username_claim = "sub";
  std::string username_prefix;  ///< "-" means none; empty: "ISSUER#", unless the claim is "email"
  std::string groups_claim;     ///< empty: tokens give no groups
  std::string groups_prefix;
  std::vector<std::pair<std::string, std::string>> required_claims;
  std::string ca_pem;  ///< empty: the system's roots
  std::vector<std::string> signing_algs = {"RS256"};
};

class Oidc {
 public:
  /// Code::invalid names the flag that is wrong. The provider is not asked before the first token comes.
  static Result<std::unique_ptr<Oidc>> make(const Cluster& cluster, OidcOptions options);

  /// Whether a token says that it is the provider's; nothing is verified by that.
  bool claims_issuer(std::string_view token) const;
  /// Code::unauthorized for what does not hold, also while the provider's keys cannot be had. Keys are asked for when a token names one
  /// that is not known, at most once a second, and again every ten minutes. Any executor.
  Task<Result<User>> authenticate(std::string token);

 private:
  struct Keys {
    io::JwtVerifier verifier;
    Instant fetched;
  };
  using KeysPtr = std::shared_ptr<const Keys>;
  Oidc(const Cluster& cluster, OidcOptions options, io::TlsContextRef tls)
      : cluster_(cluster), options_(std::move(options)), tls_(std::move(tls)) {}
  Task<Result<KeysPtr>> keys_for(std::string key_id);
  Task<Result<KeysPtr>> fetch();
  Result<User> user_of(std::string_view claims) const;

  const Cluster& cluster_;
  OidcOptions options_;
  io::TlsContextRef tls_;
  std::mutex mutex_;
  KeysPtr keys_;           // guarded by mutex_
  Instant next_fetch_{};   // guarded by mutex_
  bool fetching_ = false;  // guarded by mutex_
};

}  // namespace estiba::apiserver
