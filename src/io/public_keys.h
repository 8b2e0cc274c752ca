// Public keys, and what shows that somebody has the private part of one: PKCS#10 requests (RFC 2986), signatures, certificates. DER in
// strings, as APIs carry it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"

namespace estiba::io {

struct PublicKey {
  enum class Kind : uint8_t { rsa, ecdsa, ed25519, other };
  Kind kind = Kind::other;
  int bits = 0;       ///< of an RSA key's modulus, in whole bytes
  std::string curve;  ///< of an ECDSA key: "P-256", "P-384", "P-521", or as OpenSSL calls it
  std::string der;    ///< SubjectPublicKeyInfo (RFC 5280, 4.1.2.7): equal keys have equal ones

  bool operator==(const PublicKey& other) const { return der == other.der; }
};
Result<PublicKey> read_public_key(std::string_view der);
/// Whether the private part has signed `message`: RSASSA-PSS or ECDSA (in ASN.1) over its SHA-256, or Ed25519.
bool has_signed(const PublicKey& key, std::string_view message, std::string_view signature);

struct KeyRequest {
  PublicKey key;
  bool holds = false;  ///< its signature is the key's
};
/// A PKCS#10 request; malformed when it is none, or of a key that cannot be read.
Result<KeyRequest> read_key_request(std::string_view der);

struct StubRequest {
  std::string key_pem;  ///< PKCS#8
  std::string der;      ///< PKCS#10, without a subject and without extensions
};
/// A new key of the kind that pods ask for ("RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519") and a request that
/// shows it. An RSA key takes up to seconds: not on a loop's thread.
Result<StubRequest> make_stub_request(std::string_view key_type);

struct PemBlock {
  std::string type, der;  ///< "CERTIFICATE"
};
/// The blocks of a PEM text; what is between them is passed over.
std::vector<PemBlock> read_pem(std::string_view text);
std::string print_pem(std::string_view type, std::string_view der);

struct IssuedCertificate {
  PublicKey key;
  WallTime not_before, not_after;
  std::vector<std::string> dns_names, emails;
};
/// One certificate in DER.
Result<IssuedCertificate> read_certificate(std::string_view der);

}  // namespace estiba::io
