#include "io/public_keys.h"

#include <gtest/gtest.h>

#include "base/strings.h"
#include "io/pki.h"

namespace estiba::io {
namespace {

using namespace std::chrono_literals;

struct KeyType {
  std::string name;
  PublicKey::Kind kind;
  int bits;
  std::string curve;
};
class StubRequests : public ::testing::TestWithParam<KeyType> {};

TEST_P(StubRequests, ShowTheKeyThatTheyAreMadeWith) {
  const KeyType& type = GetParam();
  const auto made = make_stub_request(type.name);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(made->key_pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
  const auto read = read_key_request(made->der);
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->holds);
  EXPECT_EQ(read->key.kind, type.kind);
  EXPECT_EQ(read->key.bits, type.bits);
  EXPECT_EQ(read->key.curve, type.curve);
  const auto asked = parse_csr(print_pem("CERTIFICATE REQUEST", made->der));
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->common_name, "");
  // The private part is the public one's, and a certificate for it has the same.
  const WallTime now(std::chrono::seconds(1'790'000'000));
  const auto ca = make_ca("ca", now);
  ASSERT_TRUE(ca);
  const auto certificate =
      sign_csr(*ca, print_pem("CERTIFICATE REQUEST", made->der), {.common_name = "x", .dns_names = {"a.example"}}, now);
  ASSERT_TRUE(certificate) << certificate.error().message;
  const auto blocks = read_pem("before\n" + *certificate + "between\n" + ca->certificate_pem);
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_EQ(blocks[0].type, "CERTIFICATE");
  const auto issued = read_certificate(blocks[0].der);
  ASSERT_TRUE(issued);
  EXPECT_EQ(issued->key, read->key);
  EXPECT_EQ(issued->dns_names, std::vector<std::string>{"a.example"});
  EXPECT_EQ(issued->not_before, now - 5min);
  EXPECT_EQ(print_pem("CERTIFICATE", blocks[0].der), *certificate);
}

INSTANTIATE_TEST_SUITE_P(
    All, StubRequests,
    ::testing::Values(KeyType{"RSA3072", PublicKey::Kind::rsa, 3072, ""}, KeyType{"RSA4096", PublicKey::Kind::rsa, 4096, ""},
                      KeyType{"ECDSAP256", PublicKey::Kind::ecdsa, 0, "P-256"}, KeyType{"ECDSAP384", PublicKey::Kind::ecdsa, 0, "P-384"},
                      KeyType{"ECDSAP521", PublicKey::Kind::ecdsa, 0, "P-521"}, KeyType{"ED25519", PublicKey::Kind::ed25519, 0, ""}),
    [](const auto& info) { return info.param.name; });

TEST(PublicKeys, WhatIsNoneIsTold) {
  EXPECT_FALSE(make_stub_request("RSA2048"));
  EXPECT_FALSE(read_public_key("x"));
  EXPECT_FALSE(read_key_request(""));
  EXPECT_FALSE(read_certificate("x"));
  EXPECT_TRUE(read_pem("nothing").empty());
  auto made = make_stub_request("ECDSAP256");
  ASSERT_TRUE(made);
  EXPECT_FALSE(read_key_request(made->der + "x")) << "more than a request";
  made->der.back() = char(made->der.back() ^ 1);
  const auto changed = read_key_request(made->der);
  if (changed) EXPECT_FALSE(changed->holds);
}

struct Signed {
  const char *name, *key, *signature;
};
// Made with another library (Python's cryptography): "uid-1", signed with PSS and SHA-256, ECDSA and SHA-256, Ed25519.
constexpr Signed by_others[] = {
    {"rsa",
     "MIIBojANBgkqhkiG9w0BAQEFAAOCAY8AMIIBigKCAYEA3k8KJuo3c3ujcH4hHNjugLe3r+/iXcG9V6sbmtuVeAezyWIWwEcmAuWRCcNRRr7NtE"
     "vaF2QC9wglOP86uKT2xt6IbcwLpQTsIhghDHhL9obHj7W4dFESGZZvEnik9I8RG5Zmc8zu+3bl5qJQDtuHmNHKjr7WcACn/Qn7r2dfr4UdIxoU"
     "+RVKeAjfPztBd4WjvGLgSAIb1SLoHEAYvWdsDuQ9Ai4w4B6k9s3DBM8uFFORwlyLz6l1qHn5cH6yUQ0gLVYoEc4TSZgn1GQ52abi+snPh0dvPa"
     "Pi5vXlC+O9InOchiVqTlU/csQ/Mj3CZwebi8bU1+mk1KTXQF/7mjlgPmP+lJNFrYzx2CqlEqJV1C86oukIEOvF8kUfblOFG1Qb5c5EwMci832s"
     "bBdb2cMDKWfvksY6VSd+HGqRFaW5J6NQTr1JpPwxJso+4Yl6Y14Mpw39XFrtMgGfmqD3xZ7BEACGxiv+uhecaHRseH1Rnm165UL1Xw5le63ICW"
     "RmhaJjAgMBAAE=",
     "1j1JoXqlssadBh1huabLbv3kgZOCMs1UTRnYKwjhTUwPckUB3RpA2b/ryoyX2hDvqU+56qtr6ViKftDbcKGZ2lkOR9zrep1h5dbw+3GJLmGzL1"
     "LDAZV1Fww31yZ4v83R6cRkhwIRsWyinDpibILORn+ixRX4Z5Sy4i3Jt7s2XvDjVB8P5+Eb0L/6f/Kq4dFnpDvSLCIxSb1MZYZiRahFSGrQXaSO"
     "7bVDcxM3i4QpWhkNq8K6qsaG/swy6iH/OVyDOGYtDoTiUkx2rRdFRytOqbRImWShTcNlgvVIppK7vyBsS+RR7r//g9z/6XDw8ZecnMVy+kRPqu"
     "afvYV9ZBBYE+A666TBRuwMWH/VZuFmxgyRdVRQd6aKJjPUb7L+e2Nu6kLDiv0YkKsWNvkjRkYQGYY7v2VPik8fQasFWNCCJrR87aDJ2uRf0Ei8"
     "RlvlfB7W+AAb8nWLCAjhKu4xPEHvJSMkzfwY62f4hEtrqqrdnVxbF4tioBrt272XmuyQ6Lm0"},
    {"p256",
     "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEJAt5gR40hwaZ7z8IgWnErhrbQb5TxMwxUKYoQMHCkS+Fq6zfe/xiIw3ryFwQVCckRnExQclUNu"
     "SLSc++KaWIgQ==",
     "MEUCIQCSdjS8ZbUhRuuHUvFPlnEGSwz1ai6qwLX8LZPXQmfEQgIgQOc5wKZsyJZX5w2hjZhlcT5Dj9q24lGGXC36Nij3/2Y="},
    {"p521",
     "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAZoirKBWaZ95pPTJYPnnE5/pu4nzERxIQiYVlPNxY8NovZ8ePvQRv85zIoj7EWpRrv5s0MeBodO"
     "DLLUcqPbaDRAIB2K5r0FKg6wBRWDdTeu+LpqZTXPb8OlXsaJz1C00HYCIC+kHCFAxZzNnWQL3PpxILzSzmulKXqSuCXhUslo6k+X4=",
     "MIGIAkIBTYpSKPe8YaOxVLE+yI45XzR2gq7sfU74XvEBeLJ3gHYJc7+M/irT6k6ilG76G6kVd3kSD+PU0BSqUMRAJs1CiIoCQgFb0hvxNnkKHD"
     "SMe2BwRDLmTHARmDkPFC/OeUMX2fyy264EbPS15Cp4mZUQPeTpJou5XCwMt8YwfWWb69L4CRwQCA=="},
    {"ed", "MCowBQYDK2VwAyEAsKf15tKxdfK63jmkg/3pTINfDuOuizELU62Tm5b54X0=",
     "Ri3PqKtYzxHUYdoun2GvOtRttOCcoE0QuxnZiGXyGntnIR6mnW5i63BLbvWEEKxBih2wKhKPrm+6g8hOHYHjCg=="}};

TEST(PublicKeys, SignaturesProveThePrivatePart) {
  std::vector<PublicKey> keys;
  for (const Signed& each : by_others) {
    const auto key = read_public_key(base64_decode(each.key).value_or(""));
    ASSERT_TRUE(key) << each.name;
    const std::string signature = base64_decode(each.signature).value_or("");
    EXPECT_TRUE(has_signed(*key, "uid-1", signature)) << each.name;
    EXPECT_FALSE(has_signed(*key, "uid-2", signature)) << each.name;
    EXPECT_FALSE(has_signed(*key, "uid-1", "")) << each.name;
    for (const PublicKey& other : keys) EXPECT_FALSE(has_signed(other, "uid-1", signature)) << each.name;
    keys.push_back(*key);
  }
}

}  // namespace
}  // namespace estiba::io
