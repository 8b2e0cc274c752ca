// links: io
// Tokens and keys from anybody. No token that a stranger can make is accepted: the keys that are known here sign nothing.
#include <cstdlib>

#include "base/strings.h"
#include "io/jwt.h"
#include "io/pki.h"

using namespace estiba;

namespace {

const io::JwtVerifier& verifier() {
  static const auto* made = [] {
    auto* out = new io::JwtVerifier({"ES256", "ES384", "RS256", "PS256"});
    const WallTime now{};
    const auto key = io::make_ca("stranger", now);
    if (!key || !out->add_key(key->key_pem)) abort();
    return out;
  }();
  return *made;
}

void refuse(std::string_view token) {
  (void)io::peek_jwt(token);
  if (verifier().verify(token)) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  refuse(bytes);
  // Its three parts as they are before their encoding, divided by line ends.
  const auto [header, rest] = split_once(bytes, '\n');
  const auto [claims, signature] = split_once(rest.value_or(""), '\n');
  refuse(base64url_encode(header) + "." + base64url_encode(claims) + "." + base64url_encode(signature.value_or("")));
  io::JwtVerifier keys;
  const std::string a(header), b(claims), c(signature.value_or(""));
  (void)keys.add_jwk({.kty = "RSA", .kid = "a", .n = a, .e = b});
  (void)keys.add_jwk({.kty = "EC", .kid = "b", .crv = "P-256", .x = a, .y = b});
  (void)keys.add_jwk({.kty = "EC", .kid = "c", .crv = c, .x = base64url_encode(a), .y = base64url_encode(b)});
  (void)keys.add_jwk({.kty = a, .kid = b, .use = c});
  (void)keys.verify(bytes);
  return 0;
}
