#include "io/public_keys.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "base/strings.h"
#include "io/openssl.h"

namespace estiba::io {
namespace {

using RequestPtr = std::unique_ptr<X509_REQ, Deleter<X509_REQ_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Deleter<GENERAL_NAMES_free>>;
using DigestPtr = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

// What an i2d_… function has made.
std::string taken(unsigned char* der, int length) {
  if (length <= 0) return {};
  std::string out(reinterpret_cast<char*>(der), size_t(length));
  OPENSSL_free(der);
  return out;
}

std::string curve_of(EVP_PKEY* key) {
  char name[64] = "";
  EVP_PKEY_get_group_name(key, name, sizeof name, nullptr);
  const std::string_view known(name);
  if (known == "prime256v1") return "P-256";
  if (known == "secp384r1") return "P-384";
  if (known == "secp521r1") return "P-521";
  if (known == "secp224r1") return "P-224";
  return std::string(known);
}

PublicKey described(EVP_PKEY* key) {
  using enum PublicKey::Kind;
  PublicKey out;
  const int type = EVP_PKEY_get_base_id(key);
  out.kind = type == EVP_PKEY_RSA ? rsa : type == EVP_PKEY_EC ? ecdsa : type == EVP_PKEY_ED25519 ? ed25519 : other;
  if (out.kind == rsa) out.bits = (EVP_PKEY_get_bits(key) + 7) / 8 * 8;
  if (out.kind == ecdsa) out.curve = curve_of(key);
  unsigned char* der = nullptr;
  const int length = i2d_PUBKEY(key, &der);
  out.der = taken(der, length);
  return out;
}

KeyPtr parsed_key(std::string_view der) {
  const unsigned char* at = bytes_of(der);
  KeyPtr key(d2i_PUBKEY(nullptr, &at, long(der.size())));
  if (at != bytes_of(der) + der.size()) key.reset();
  ERR_clear_error();
  return key;
}

WallTime wall_time(const ASN1_TIME* time) {
  tm fields{};
  ASN1_TIME_to_tm(time, &fields);
  return WallTime(std::chrono::seconds(timegm(&fields)));
}

KeyPtr make_key(std::string_view type) {
  if (type == "RSA3072") return KeyPtr(EVP_RSA_gen(3072));
  if (type == "RSA4096") return KeyPtr(EVP_RSA_gen(4096));
  if (type == "ECDSAP256") return KeyPtr(EVP_EC_gen("P-256"));
  if (type == "ECDSAP384") return KeyPtr(EVP_EC_gen("P-384"));
  if (type == "ECDSAP521") return KeyPtr(EVP_EC_gen("P-521"));
  if (type == "ED25519") return KeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  return nullptr;
}

// The digest that goes with the strength of the key; Ed25519 has its own.
const EVP_MD* digest_for(const PublicKey& key) {
  if (key.kind == PublicKey::Kind::ed25519) return nullptr;
  return key.curve == "P-384" ? EVP_sha384() : key.curve == "P-521" ? EVP_sha512() : EVP_sha256();
}

}  // namespace

Result<PublicKey> read_public_key(std::string_view der) {
  const KeyPtr key = parsed_key(der);
  if (!key) return fail(Code::malformed, "the bytes are no public key (SubjectPublicKeyInfo in DER)");
  return described(key.get());
}

bool has_signed(const PublicKey& key, std::string_view message, std::string_view signature) {
  const KeyPtr parsed = parsed_key(key.der);
  const DigestPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;
  const EVP_MD* digest = key.kind == PublicKey::Kind::ed25519 ? nullptr : EVP_sha256();
  bool good = parsed && context && EVP_DigestVerifyInit(context.get(), &options, digest, nullptr, parsed.get()) == 1;
  if (good && key.kind == PublicKey::Kind::rsa)
    good = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_AUTO) == 1;
  good = good && EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message), message.size()) == 1;
  ERR_clear_error();
  return good;
}

Result<KeyRequest> read_key_request(std::string_view der) {
  const unsigned char* at = bytes_of(der);
  const RequestPtr request(d2i_X509_REQ(nullptr, &at, long(der.size())));
  EVP_PKEY* key = request ? X509_REQ_get0_pubkey(request.get()) : nullptr;
  ERR_clear_error();
  if (!key || at != bytes_of(der) + der.size()) return fail(Code::malformed, "the bytes are no certificate request (PKCS#10 in DER)");
  KeyRequest out{.key = described(key), .holds = X509_REQ_verify(request.get(), key) == 1};
  ERR_clear_error();
  return out;
}

Result<StubRequest> make_stub_request(std::string_view key_type) {
  const KeyPtr key = make_key(key_type);
  if (!key) return openssl_fail("make a key of type " + quoted(key_type));
  const RequestPtr request(X509_REQ_new());
  if (!request || X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), digest_for(described(key.get()))) == 0)
    return openssl_fail("make a certificate request");
  StubRequest out;
  unsigned char* der = nullptr;
  const int length = i2d_X509_REQ(request.get(), &der);
  out.der = taken(der, length);
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  out.key_pem = written(bio.get());
  return out;
}

std::vector<PemBlock> read_pem(std::string_view text) {
  std::vector<PemBlock> out;
  const BioPtr bio = reading(text);
  char *name = nullptr, *header = nullptr;
  unsigned char* data = nullptr;
  long length = 0;
  while (PEM_read_bio(bio.get(), &name, &header, &data, &length) == 1) {
    out.push_back({name, std::string(reinterpret_cast<char*>(data), size_t(length))});
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
  }
  ERR_clear_error();
  return out;
}

std::string print_pem(std::string_view type, std::string_view der) {
  constexpr size_t line = 64;
  const std::string text = base64_encode(der);
  std::string out = "-----BEGIN " + std::string(type) + "-----\n";
  for (size_t i = 0; i < text.size(); i += line) out.append(text, i, line).append("\n");
  return out.append("-----END ").append(type).append("-----\n");
}

Result<IssuedCertificate> read_certificate(std::string_view der) {
  const unsigned char* at = bytes_of(der);
  const CertificatePtr certificate(d2i_X509(nullptr, &at, long(der.size())));
  EVP_PKEY* key = certificate ? X509_get0_pubkey(certificate.get()) : nullptr;
  ERR_clear_error();
  if (!key || at != bytes_of(der) + der.size()) return fail(Code::malformed, "the bytes are no certificate (X.509 in DER)");
  IssuedCertificate out{.key = described(key),
                        .not_before = wall_time(X509_get0_notBefore(certificate.get())),
                        .not_after = wall_time(X509_get0_notAfter(certificate.get())),
                        .dns_names = {},
                        .emails = {}};
  const NamesPtr names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int type;
    const auto* value = static_cast<ASN1_STRING*>(GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &type));
    if (type != GEN_DNS && type != GEN_EMAIL) continue;
    (type == GEN_DNS ? out.dns_names : out.emails)
        .emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)), size_t(ASN1_STRING_length(value)));
  }
  return out;
}

}  // namespace estiba::io
