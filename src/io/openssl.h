// Owners and helpers for OpenSSL's objects. Internal to io/.
#pragma once
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace estiba::io {

template <auto function>
struct Deleter {
  template <class T>
  void operator()(T* p) const {
    function(p);
  }
};
using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Deleter<X509_free>>;

/// OpenSSL's first queued error as text, or `otherwise`; empties the queue.
std::string openssl_error(std::string_view otherwise);
std::unexpected<Error> openssl_fail(std::string_view what);

/// At least one, or an error.
Result<std::vector<CertificatePtr>> certificates_from_pem(std::string_view pem);
/// A private key.
Result<KeyPtr> key_from_pem(std::string_view pem);
/// The values of a name's entries of one kind (NID_commonName, …), in UTF-8.
std::vector<std::string> name_entries(const X509_NAME* name, int nid);
/// The same, of a kind that OpenSSL has no number for ("1.3.6.1.4.1.57683.2").
std::vector<std::string> name_entries(const X509_NAME* name, const char* oid);
/// A BIO that reads `text`.
BioPtr reading(std::string_view text);
/// What was written to a memory BIO.
std::string written(BIO* bio);

}  // namespace estiba::io
