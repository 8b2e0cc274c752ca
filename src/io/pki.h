// Keys and certificates (X.509, ECDSA P-256), in PEM. A pair is generated, stored and loaded as text, so that callers need
// nothing of OpenSSL.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"

namespace estiba::io {

struct KeyPair {
  std::string certificate_pem;
  std::string key_pem;  ///< PKCS#8
};

struct CertificateRequest {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  bool server = false, client = false;  ///< extended key usage; both may be set
  Duration lifetime = std::chrono::hours(24 * 365);
};

struct CertificateInfo {
  std::string common_name;
  std::vector<std::string> organizations, dns_names, ip_addresses;
  WallTime not_before, not_after;
  bool ca = false;
  std::string issuer_common_name;
  std::string serial;  ///< hex
};

/// A self-signed CA. All times start a little before `now`, because clocks differ.
Result<KeyPair> make_ca(std::string_view common_name, WallTime now, Duration lifetime = std::chrono::hours(24 * 3650));
/// A certificate and a new key, signed by the CA.
Result<KeyPair> make_certificate(const KeyPair& ca, const CertificateRequest& request, WallTime now);
/// Signs a PKCS#10 request (PEM) of somebody else's key; subject and names are taken from `request`, not from the CSR.
Result<std::string> sign_csr(const KeyPair& ca, std::string_view csr_pem, const CertificateRequest& request, WallTime now);
/// A new key and a PKCS#10 request for it (PEM) with subject and names of `request`; usages and lifetime are the signer's matter.
struct PendingCertificate {
  std::string key_pem, csr_pem;
};
Result<PendingCertificate> make_csr(const CertificateRequest& request);
/// Subject and names that a PKCS#10 request asks for; fails unless its signature holds.
Result<CertificateRequest> parse_csr(std::string_view csr_pem);
/// What a request asks for beyond CertificateRequest: it decides who may have the certificate.
struct RequestedNames {
  CertificateRequest request;
  std::vector<std::string> emails, uris;
};
Result<RequestedNames> parse_csr_names(std::string_view csr_pem);

/// What a certificate may be used for, in the words of certificates.k8s.io ("client auth", "digital signature"), and when.
struct SigningPolicy {
  std::vector<std::string> usages;
  WallTime not_before, not_after;  ///< never beyond the CA's own end
};
/// Signs a PKCS#10 request (PEM) as it asks: its whole subject and all its alternative names. Invalid when a usage is unknown, the
/// request's signature does not hold or the CA has expired.
Result<std::string> sign_csr_as_requested(const KeyPair& ca, std::string_view csr_pem, const SigningPolicy& policy, WallTime now);

/// The first certificate of a PEM text.
Result<CertificateInfo> inspect_certificate(std::string_view pem);
/// "sha256:<hex>" of the certificate's public key, as kubeadm's --discovery-token-ca-cert-hash wants.
Result<std::string> public_key_hash(std::string_view certificate_pem);

/// Reads certificate and key files. Errors name the file.
Result<KeyPair> load_key_pair(const std::string& certificate_path, const std::string& key_path);
/// Writes both, the key with mode 0600, each through a temporary file and rename.
Result<void> store_key_pair(const KeyPair& pair, const std::string& certificate_path, const std::string& key_path);

/// A new ECDSA P-256 private key in PEM (PKCS#8), for signing tokens; its public part.
Result<std::string> make_private_key();
Result<std::string> public_key_of(std::string_view private_key_pem);

}  // namespace estiba::io
