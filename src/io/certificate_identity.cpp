#include "io/certificate_identity.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/strings.h"
#include "io/openssl.h"

namespace estiba::io {

static constexpr const char* uid_oid = "1.3.6.1.4.1.57683.2";

Result<CertificateIdentity> identity_of_certificate(std::string_view der) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  const CertificatePtr certificate(d2i_X509(nullptr, &bytes, long(der.size())));
  if (!certificate) return openssl_fail("read the client's certificate");
  std::vector<std::string> uids = name_entries(X509_get_subject_name(certificate.get()), uid_oid);
  if (uids.size() > 1) return fail(Code::invalid, "the client's certificate has " + std::to_string(uids.size()) + " UIDs in its subject");
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  if (X509_digest(certificate.get(), EVP_sha256(), digest, &length) != 1) return openssl_fail("digest of the client's certificate");
  return CertificateIdentity{uids.empty() ? std::string() : std::move(uids[0]), hex_encode({reinterpret_cast<char*>(digest), length})};
}

}  // namespace estiba::io
