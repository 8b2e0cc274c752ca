#include "io/jwt.h"

#include <gtest/gtest.h>

#include "io/pki.h"

namespace estiba::io {
namespace {

constexpr std::string_view claims = R"({"sub":"a"})";

std::string member(std::string_view json, std::string_view name) {
  const std::string key = "\"" + std::string(name) + "\":\"";
  size_t at = json.find(key);
  if (at == json.npos) return {};
  at += key.size();
  return std::string(json.substr(at, json.find('"', at) - at));
}

Jwk jwk_from(std::string_view json) {
  auto m = [&](std::string_view name) { return member(json, name); };
  return {m("kty"), m("kid"), m("use"), m("alg"), m("n"), m("e"), m("crv"), m("x"), m("y")};
}

TEST(JwtKeys, come_as_jwks_too) {
  auto signer = *JwtSigner::make(*make_private_key());
  JwtVerifier verifier({"ES256"});
  ASSERT_TRUE(verifier.add_jwk(jwk_from(signer.jwk())));
  EXPECT_TRUE(verifier.knows(signer.key_id()));
  EXPECT_FALSE(verifier.knows("other"));
  EXPECT_EQ(*verifier.verify(*signer.sign(claims)), claims);
  EXPECT_TRUE(verifier.jwks().empty()) << "keys of others are not published";
  Jwk jwk = jwk_from(signer.jwk());
  jwk.x[3] = jwk.x[3] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(verifier.add_jwk(jwk)) << "a point off the curve";
  jwk.crv = "secp256k1";
  EXPECT_EQ(verifier.add_jwk(jwk).error().code, Code::unsupported);
  EXPECT_EQ(verifier.add_jwk({.kty = "oct"}).error().code, Code::unsupported);
  EXPECT_FALSE(verifier.add_jwk({.kty = "RSA", .n = "!", .e = "AQAB"}));
}

TEST(JwtKeys, only_the_algorithms_that_are_accepted_count) {
  auto signer = *JwtSigner::make(*make_private_key());
  JwtVerifier verifier({"RS256", "ES384"});
  ASSERT_TRUE(verifier.add_jwk(jwk_from(signer.jwk())));
  auto refused = verifier.verify(*signer.sign(claims));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "the token is not accepted: its algorithm is not RS256 or ES384");
  for (const char* name : {"RS256", "PS512", "ES384"}) EXPECT_TRUE(JwtVerifier::is_algorithm(name));
  for (const char* name : {"none", "HS256", ""}) EXPECT_FALSE(JwtVerifier::is_algorithm(name));
}

TEST(JwtKeys, several_verify_while_one_signs) {
  const std::string first = *make_private_key(), second = *make_private_key();
  auto before = *JwtSigner::make(first), after = *JwtSigner::make(second);
  JwtVerifier verifier;
  ASSERT_TRUE(verifier.add_key(second));
  EXPECT_FALSE(verifier.verify(*before.sign(claims)));
  ASSERT_TRUE(verifier.add_key(*public_key_of(first) + "\n" + *public_key_of(second)));
  EXPECT_EQ(*verifier.verify(*before.sign(claims)), claims);
  EXPECT_EQ(*verifier.verify(*after.sign(claims)), claims);
  EXPECT_EQ(verifier.jwks().size(), 2u) << "each once";
  EXPECT_FALSE(verifier.add_key("no key"));
}

TEST(JwtParts, are_seen_without_being_believed) {
  auto parts = peek_jwt("eyJhIjoxfQ.eyJiIjoyfQ.xx");
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->header, R"({"a":1})");
  EXPECT_EQ(parts->claims, R"({"b":2})");
  for (const char* bad : {"", "a.b", "..", "a.b.c.d", "!.!.!"}) {
    auto none = peek_jwt(bad);
    EXPECT_TRUE(!none || none->claims.empty()) << bad;
  }
}

}  // namespace
}  // namespace estiba::io
