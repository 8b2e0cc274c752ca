#include "io/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>

namespace estiba::io {

std::string openssl_error(std::string_view otherwise) {
  unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return std::string(otherwise);
  const char* reason = ERR_reason_error_string(code);
  if (reason) return reason;
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  return text;
}

std::unexpected<Error> openssl_fail(std::string_view what) {
  return fail(Code::invalid, std::string(what) + ": " + openssl_error("not possible"));
}

BioPtr reading(std::string_view text) { return BioPtr(BIO_new_mem_buf(text.data(), int(text.size()))); }

std::string written(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  return std::string(data, size_t(size));
}

Result<std::vector<CertificatePtr>> certificates_from_pem(std::string_view pem) {
  auto bio = reading(pem);
  std::vector<CertificatePtr> list;
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) list.emplace_back(certificate);
  ERR_clear_error();  // the end of the text
  if (list.empty()) return fail(Code::malformed, "the text holds no certificate in PEM (-----BEGIN CERTIFICATE-----)");
  return list;
}

Result<KeyPtr> key_from_pem(std::string_view pem) {
  auto bio = reading(pem);
  auto no_password = [](char*, int, int, void*) { return -1; };  // instead of asking on the terminal
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  if (!key) return fail(Code::malformed, "the text holds no private key in PEM (an encrypted one is not supported)");
  return key;
}

static std::vector<std::string> entries_of(const X509_NAME* name, const ASN1_OBJECT* kind) {
  std::vector<std::string> values;
  for (int at = -1; (at = X509_NAME_get_index_by_OBJ(name, kind, at)) >= 0;) {
    unsigned char* text = nullptr;
    int length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    if (length >= 0) values.emplace_back(reinterpret_cast<char*>(text), size_t(length));
    if (length >= 0) OPENSSL_free(text);
  }
  return values;
}

std::vector<std::string> name_entries(const X509_NAME* name, int nid) { return entries_of(name, OBJ_nid2obj(nid)); }

std::vector<std::string> name_entries(const X509_NAME* name, const char* oid) {
  const std::unique_ptr<ASN1_OBJECT, Deleter<ASN1_OBJECT_free>> kind(OBJ_txt2obj(oid, 1));
  return kind ? entries_of(name, kind.get()) : std::vector<std::string>{};
}

}  // namespace estiba::io
