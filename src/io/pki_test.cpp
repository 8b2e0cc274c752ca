#include "io/pki.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "io/jwt.h"

namespace estiba::io {
namespace {

using namespace std::chrono_literals;

WallTime today() { return WallTime(std::chrono::seconds(1'790'000'000)); }

TEST(Pki, ACertificateSaysWhatWasAskedFor) {
  auto ca = make_ca("estiba-ca", today());
  ASSERT_TRUE(ca);
  auto pair = make_certificate(*ca,
                               {.common_name = "kube",
                                .organizations = {"a", "b"},
                                .dns_names = {"kubernetes", "kubernetes.default"},
                                .ip_addresses = {"10.43.0.1", "::1"},
                                .server = true,
                                .lifetime = 24h},
                               today());
  ASSERT_TRUE(pair) << pair.error().message;
  auto info = *inspect_certificate(pair->certificate_pem);
  EXPECT_EQ(info.common_name, "kube");
  EXPECT_EQ(info.organizations, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(info.dns_names, (std::vector<std::string>{"kubernetes", "kubernetes.default"}));
  EXPECT_EQ(info.ip_addresses, (std::vector<std::string>{"10.43.0.1", "::1"}));
  EXPECT_EQ(info.issuer_common_name, "estiba-ca");
  EXPECT_EQ(info.not_after, today() + 24h);
  EXPECT_FALSE(info.ca);
  EXPECT_TRUE(inspect_certificate(ca->certificate_pem)->ca);
  EXPECT_EQ(public_key_hash(ca->certificate_pem)->size(), 7u + 64);
  EXPECT_FALSE(make_certificate(*ca, {.common_name = "x", .ip_addresses = {"localhost"}}, today()));
}

// Made by `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /C=DE/O=devs/CN=jane -addext
// subjectAltName=DNS:a.example,IP:10.0.0.1,email:a@b.example,URI:spiffe://x/y`.
constexpr std::string_view request_pem = R"(-----BEGIN CERTIFICATE REQUEST-----
MIIBLjCB1QIBADArMQswCQYDVQQGEwJERTENMAsGA1UECgwEZGV2czENMAsGA1UE
AwwEamFuZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHcy4+jz1kWjkUc9sejg
Yn/ECeHzs0ywLePjEpRmKaHD4K+omVzbCnDBP/cfOPTKXow2Cersm6Ht6XE4OS/p
MRSgSDBGBgkqhkiG9w0BCQ4xOTA3MDUGA1UdEQQuMCyCCWEuZXhhbXBsZYcECgAA
AYELYUBiLmV4YW1wbGWGDHNwaWZmZTovL3gveTAKBggqhkjOPQQDAgNIADBFAiEA
xDpAcFp7iDYkbSw1wzZrijTvG9o+X4/RwOir/9MEqGoCIH6kQavwx2vZzZZHSheY
WaDcppRzrupZao/g/s165i3A
-----END CERTIFICATE REQUEST-----
)";

TEST(Pki, ARequestIsSignedAsItAsks) {
  auto ca = *make_ca("estiba-ca", today());
  auto asked = parse_csr_names(request_pem);
  ASSERT_TRUE(asked) << asked.error().message;
  EXPECT_EQ(asked->request.common_name, "jane");
  EXPECT_EQ(asked->request.dns_names, std::vector<std::string>{"a.example"});
  EXPECT_EQ(asked->request.ip_addresses, std::vector<std::string>{"10.0.0.1"});
  EXPECT_EQ(asked->emails, std::vector<std::string>{"a@b.example"});
  EXPECT_EQ(asked->uris, std::vector<std::string>{"spiffe://x/y"});
  auto pem =
      sign_csr_as_requested(ca, request_pem, {{"client auth", "digital signature", "signing"}, today() - 5min, today() + 1h}, today());
  ASSERT_TRUE(pem) << pem.error().message;
  auto info = *inspect_certificate(*pem);
  EXPECT_EQ(info.common_name, "jane");
  EXPECT_EQ(info.organizations, std::vector<std::string>{"devs"});
  EXPECT_EQ(info.dns_names, std::vector<std::string>{"a.example"});
  EXPECT_EQ(info.issuer_common_name, "estiba-ca");
  EXPECT_EQ(info.not_before, today() - 5min);
  EXPECT_EQ(info.not_after, today() + 1h);
  EXPECT_FALSE(info.ca);
  auto cut = sign_csr_as_requested(ca, request_pem, {{"client auth"}, today(), today() + 24h * 365 * 50}, today());
  EXPECT_EQ(inspect_certificate(*cut)->not_after, inspect_certificate(ca.certificate_pem)->not_after) << "it outlives its CA";
  EXPECT_EQ(sign_csr_as_requested(ca, request_pem, {{"flying"}, today(), today() + 1h}, today()).error().message,
            "unrecognized usage values: [\"flying\"]");
  EXPECT_FALSE(sign_csr_as_requested(ca, request_pem, {{"client auth"}, today(), today()}, today() + 24h * 365 * 50));
  std::string broken(request_pem);
  broken[broken.find('\n') + 40] ^= 1;
  EXPECT_FALSE(sign_csr_as_requested(ca, broken, {{"client auth"}, today(), today() + 1h}, today()));
}

TEST(Pki, ARequestOfOursIsSignedAsItAsks) {
  auto ca = *make_ca("estiba-ca", today());
  auto pending =
      make_csr({.common_name = "system:node:a", .organizations = {"system:nodes"}, .dns_names = {"a"}, .ip_addresses = {"10.0.0.7"}});
  ASSERT_TRUE(pending) << pending.error().message;
  auto pem = sign_csr_as_requested(ca, pending->csr_pem, {{"server auth"}, today() - 5min, today() + 1h}, today());
  ASSERT_TRUE(pem) << pem.error().message;
  auto info = *inspect_certificate(*pem);
  EXPECT_EQ(info.common_name, "system:node:a");
  EXPECT_EQ(info.organizations, std::vector<std::string>{"system:nodes"});
  EXPECT_EQ(info.dns_names, std::vector<std::string>{"a"});
  EXPECT_EQ(info.ip_addresses, std::vector<std::string>{"10.0.0.7"});
  EXPECT_TRUE(parse_csr(make_csr({.common_name = "x"})->csr_pem)) << "without other names";
  EXPECT_FALSE(make_csr({.common_name = "x", .ip_addresses = {"localhost"}}));
}

TEST(Pki, FilesComeBackAndTheKeyIsPrivate) {
  std::string base = "/tmp/estiba-pki-test-" + std::to_string(getpid());
  auto ca = *make_ca("x", today());
  ASSERT_TRUE(store_key_pair(ca, base + ".crt", base + ".key"));
  struct stat info;
  stat((base + ".key").c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  auto loaded = load_key_pair(base + ".crt", base + ".key");
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->key_pem, ca.key_pem);
  ASSERT_TRUE(store_key_pair({make_ca("y", today())->certificate_pem, ca.key_pem}, base + ".crt", base + ".key"));
  EXPECT_FALSE(load_key_pair(base + ".crt", base + ".key")) << "a key of another certificate was accepted";
  unlink((base + ".crt").c_str());
  unlink((base + ".key").c_str());
  EXPECT_EQ(load_key_pair(base + ".crt", base + ".key").error().code, Code::not_found);
}

TEST(Jwt, WhatIsSignedVerifies) {
  auto key = *make_private_key();
  auto signer = *JwtSigner::make(key);
  JwtVerifier verifier;
  ASSERT_TRUE(verifier.add_key(*public_key_of(key)));
  auto token = *signer.sign(R"({"sub":"system:serviceaccount:default:web"})");
  auto claims = verifier.verify(token);
  ASSERT_TRUE(claims) << claims.error().message;
  EXPECT_EQ(*claims, R"({"sub":"system:serviceaccount:default:web"})");
  EXPECT_EQ(signer.algorithm(), "ES256");
  EXPECT_NE(signer.jwk().find("\"kty\":\"EC\""), std::string::npos);
}

TEST(Jwt, WhatIsNotSignedByUsIsRefused) {
  auto key = *make_private_key();
  auto signer = *JwtSigner::make(key);
  JwtVerifier verifier, other;
  ASSERT_TRUE(verifier.add_key(key));
  ASSERT_TRUE(other.add_key(*make_private_key()));
  auto token = *signer.sign("{}");
  EXPECT_EQ(other.verify(token).error().code, Code::unauthorized);
  auto changed = token;
  changed[changed.find('.') + 1] ^= 1;
  EXPECT_FALSE(verifier.verify(changed));
  auto encoded = [](std::string_view header) { return base64url_encode(header) + "." + base64url_encode("{}") + "."; };
  EXPECT_FALSE(verifier.verify(encoded(R"({"alg":"none"})")));
  EXPECT_FALSE(verifier.verify(encoded(R"({"alg":"HS256"})") + base64url_encode("x")));
  EXPECT_FALSE(verifier.verify(encoded(R"({"x":"alg","alg":"RS256"})") + token.substr(token.rfind('.') + 1)));
  for (const char* bad : {"", ".", "..", "a.b", "a.b.c", "!.!.!"}) EXPECT_FALSE(verifier.verify(bad)) << bad;
}

// A 2048-bit key is made here, because a key in the source would look like a secret.
TEST(Jwt, RsaKeysSignToo) {
  FILE* pipe = popen("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 2>/dev/null", "r");
  std::string key;
  char buffer[1024];
  size_t got;
  while ((got = fread(buffer, 1, sizeof buffer, pipe)) > 0) key.append(buffer, got);
  pclose(pipe);
  if (key.empty()) GTEST_SKIP() << "needs the openssl program";
  auto signer = JwtSigner::make(key);
  ASSERT_TRUE(signer) << signer.error().message;
  JwtVerifier verifier;
  ASSERT_TRUE(verifier.add_key(key));
  EXPECT_EQ(*verifier.verify(*signer->sign("{\"a\":1}")), "{\"a\":1}");
  EXPECT_EQ(signer->algorithm(), "RS256");
}

}  // namespace
}  // namespace estiba::io
