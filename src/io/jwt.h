// JSON Web Tokens (RFC 7519): service accounts' own and those of OpenID Connect providers. What the claims mean is the caller's business;
// here are the signature, the encoding and the key ids.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::io {

/// Signs with one private key (P-256 or RSA, PEM). Any thread may use it.
class JwtSigner {
 public:
  static Result<JwtSigner> make(std::string_view private_key_pem);
  /// `claims` is a JSON object; the header is {"alg":…,"kid":…}.
  Result<std::string> sign(std::string_view claims) const;
  const std::string& key_id() const;
  /// The public key as a JWK (JSON), for /openid/v1/jwks.
  const std::string& jwk() const;
  std::string_view algorithm() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

/// A public key as JSON Web Keys spell it (RFC 7517), each member as it stands there; absent ones are empty.
struct Jwk {
  std::string kty, kid, use, alg;
  std::string n, e;       ///< RSA
  std::string crv, x, y;  ///< EC
};

/// Verifies signatures against a set of public keys. Any thread may use it.
class JwtVerifier {
 public:
  /// Accepts these algorithms alone, of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 and ES512 (RFC 7518).
  explicit JwtVerifier(std::vector<std::string> algorithms = {"ES256", "RS256"});
  /// Public keys, certificates or private keys, in PEM, one or several.
  Result<void> add_key(std::string_view pem);
  /// Code::unsupported for a kind of key that no algorithm of ours uses.
  Result<void> add_jwk(const Jwk& jwk);
  /// Whether a key has this id.
  bool knows(std::string_view key_id) const;
  /// The keys that add_key() was given, each as a JWK (JSON), for /openid/v1/jwks.
  std::vector<std::string> jwks() const;
  /// The claims (JSON) of a token whose signature holds. Code::unauthorized otherwise; "none" and HMAC algorithms are never
  /// accepted, and the key's kind must fit the algorithm. Times and audiences are not checked here.
  Result<std::string> verify(std::string_view token) const;

  static bool is_algorithm(std::string_view name);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// A token's header and claims as JSON, not verified; nullopt when it is no JSON Web Token.
struct JwtParts {
  std::string header, claims;
};
std::optional<JwtParts> peek_jwt(std::string_view token);

}  // namespace estiba::io
