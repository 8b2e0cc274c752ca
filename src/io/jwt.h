// JSON Web Tokens (RFC 7519) as service accounts use them: ES256 and RS256. What the claims mean is the caller's business;
// here are the signature, the encoding and the key ids.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>

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

/// Verifies signatures against a set of public keys. Any thread may use it.
class JwtVerifier {
 public:
  JwtVerifier();
  /// A public key, a certificate or a private key, in PEM.
  Result<void> add_key(std::string_view pem);
  /// The claims (JSON) of a token whose signature holds. Code::unauthorized otherwise; "none" and HMAC algorithms are never
  /// accepted, and the key's kind must fit the algorithm. Times and audiences are not checked here.
  Result<std::string> verify(std::string_view token) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace estiba::io
