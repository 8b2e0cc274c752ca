#include "io/pki.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <algorithm>

#include "base/strings.h"
#include "io/openssl.h"

namespace estiba::io {

using namespace std::chrono_literals;

namespace {

using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;
using NamesPtr = std::unique_ptr<GENERAL_NAMES, Deleter<GENERAL_NAMES_free>>;
void free_extensions(STACK_OF(X509_EXTENSION) * extensions) { sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free); }
using ExtensionsPtr = std::unique_ptr<STACK_OF(X509_EXTENSION), Deleter<free_extensions>>;
using RequestPtr = std::unique_ptr<X509_REQ, Deleter<X509_REQ_free>>;

KeyPtr generate_key() { return KeyPtr(EVP_EC_gen("P-256")); }

std::string key_pem(EVP_PKEY* key) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return written(bio.get());
}

std::string certificate_pem(X509* certificate) {
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return written(bio.get());
}

bool add_name(X509_NAME* name, int nid, std::string_view value) {
  return X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()), int(value.size()), -1,
                                    0) == 1;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

Result<NamesPtr> alternative_names(const CertificateRequest& request) {
  NamesPtr names(GENERAL_NAMES_new());
  for (const std::string& dns : request.dns_names) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, dns.data(), int(dns.size()));
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
    sk_GENERAL_NAME_push(names.get(), name);
  }
  for (const std::string& ip : request.ip_addresses) {
    ASN1_OCTET_STRING* bytes = a2i_IPADDRESS(ip.c_str());
    if (!bytes) return fail(Code::invalid, "certificate for " + request.common_name + ": " + quoted(ip) + " is not an IP address");
    GENERAL_NAME* name = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(name, GEN_IPADD, bytes);
    sk_GENERAL_NAME_push(names.get(), name);
  }
  return names;
}

bool has_names(const CertificateRequest& request) { return !request.dns_names.empty() || !request.ip_addresses.empty(); }

Result<void> add_alternative_names(X509* certificate, const CertificateRequest& request) {
  if (!has_names(request)) return {};
  const NamesPtr names = TRY(alternative_names(request));
  if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) != 1)
    return openssl_fail("certificate's alternative names");
  return {};
}

void set_times(X509* certificate, WallTime from, WallTime until) {
  auto seconds = [](WallTime t) { return time_t(std::chrono::duration_cast<std::chrono::seconds>(t.time_since_epoch()).count()); };
  ASN1_TIME_set(X509_getm_notBefore(certificate), seconds(from));
  ASN1_TIME_set(X509_getm_notAfter(certificate), seconds(until));
}

void set_random_serial(X509* certificate) {
  unsigned char bytes[16];
  RAND_bytes(bytes, sizeof bytes);
  bytes[0] &= 0x7f;
  bytes[0] |= 0x40;
  BIGNUM* number = BN_bin2bn(bytes, sizeof bytes, nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
  BN_free(number);
}

// Signs a certificate for `key` with the CA.
Result<std::string> issue(const KeyPair& ca, EVP_PKEY* key, const CertificateRequest& request, WallTime now) {
  auto ca_chain = TRY_AS("CA certificate", certificates_from_pem(ca.certificate_pem));
  auto ca_key = TRY_AS("CA key", key_from_pem(ca.key_pem));
  X509* issuer = ca_chain[0].get();
  CertificatePtr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  set_random_serial(certificate.get());
  set_times(certificate.get(), now - 5min, now + request.lifetime);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  bool good = true;
  for (const std::string& organization : request.organizations) good = good && add_name(subject, NID_organizationName, organization);
  if (!request.common_name.empty()) good = good && add_name(subject, NID_commonName, request.common_name);
  good =
      good && X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer)) == 1 && X509_set_pubkey(certificate.get(), key) == 1;
  good = good && add_extension(certificate.get(), issuer, NID_basic_constraints, "critical,CA:FALSE");
  good = good && add_extension(certificate.get(), issuer, NID_key_usage, "critical,digitalSignature,keyEncipherment");
  const char* usage = request.server && request.client ? "serverAuth,clientAuth" : request.server ? "serverAuth" : "clientAuth";
  if (request.server || request.client) good = good && add_extension(certificate.get(), issuer, NID_ext_key_usage, usage);
  // Both identifiers, so that a subject named like its CA is not taken for self-signed.
  good = good && add_extension(certificate.get(), issuer, NID_subject_key_identifier, "hash");
  good = good && add_extension(certificate.get(), issuer, NID_authority_key_identifier, "keyid");
  if (!good) return openssl_fail("certificate for " + request.common_name);
  TRY(add_alternative_names(certificate.get(), request));
  if (X509_sign(certificate.get(), ca_key.get(), EVP_sha256()) == 0) return openssl_fail("sign the certificate for " + request.common_name);
  return certificate_pem(certificate.get());
}

std::string ip_text(const ASN1_OCTET_STRING* bytes) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(ASN1_STRING_length(bytes) == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(bytes), text, sizeof text);
  return text;
}

// E-mail addresses and URIs only where they are asked for.
void read_alternative_names(const GENERAL_NAMES* names, std::vector<std::string>& dns, std::vector<std::string>& ips,
                            std::vector<std::string>* emails = nullptr, std::vector<std::string>* uris = nullptr) {
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names); ++i) {
    int type;
    auto* value = static_cast<ASN1_STRING*>(GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type));
    auto text = [value] {
      return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)), size_t(ASN1_STRING_length(value)));
    };
    if (type == GEN_DNS) dns.push_back(text());
    if (type == GEN_EMAIL && emails) emails->push_back(text());
    if (type == GEN_URI && uris) uris->push_back(text());
    int length = ASN1_STRING_length(value);
    if (type == GEN_IPADD && (length == 4 || length == 16)) ips.push_back(ip_text(value));
  }
}

WallTime wall_time(const ASN1_TIME* time) {
  tm fields{};
  ASN1_TIME_to_tm(time, &fields);
  return WallTime(std::chrono::seconds(timegm(&fields)));
}

}  // namespace

Result<KeyPair> make_ca(std::string_view common_name, WallTime now, Duration lifetime) {
  KeyPtr key = generate_key();
  CertificatePtr certificate(X509_new());
  if (!key || !certificate) return openssl_fail("generate a CA key");
  X509_set_version(certificate.get(), X509_VERSION_3);
  set_random_serial(certificate.get());
  set_times(certificate.get(), now - 5min, now + lifetime);
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  bool good = add_name(subject, NID_commonName, common_name) && X509_set_issuer_name(certificate.get(), subject) == 1 &&
              X509_set_pubkey(certificate.get(), key.get()) == 1 &&
              add_extension(certificate.get(), certificate.get(), NID_basic_constraints, "critical,CA:TRUE") &&
              add_extension(certificate.get(), certificate.get(), NID_key_usage, "critical,digitalSignature,keyEncipherment,keyCertSign") &&
              add_extension(certificate.get(), certificate.get(), NID_subject_key_identifier, "hash");
  if (!good || X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) return openssl_fail("make the CA " + std::string(common_name));
  return KeyPair{certificate_pem(certificate.get()), key_pem(key.get())};
}

Result<KeyPair> make_certificate(const KeyPair& ca, const CertificateRequest& request, WallTime now) {
  KeyPtr key = generate_key();
  if (!key) return openssl_fail("generate a key");
  std::string certificate = TRY(issue(ca, key.get(), request, now));
  return KeyPair{std::move(certificate), key_pem(key.get())};
}

Result<PendingCertificate> make_csr(const CertificateRequest& request) {
  KeyPtr key = generate_key();
  RequestPtr csr(X509_REQ_new());
  if (!key || !csr) return openssl_fail("generate a key");
  X509_NAME* subject = X509_REQ_get_subject_name(csr.get());
  bool good = X509_REQ_set_pubkey(csr.get(), key.get()) == 1;
  for (const std::string& organization : request.organizations) good = good && add_name(subject, NID_organizationName, organization);
  good = good && add_name(subject, NID_commonName, request.common_name);
  if (has_names(request)) {
    const NamesPtr names = TRY(alternative_names(request));
    STACK_OF(X509_EXTENSION)* list = nullptr;
    good = good && X509V3_add1_i2d(&list, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) == 1;
    const ExtensionsPtr extensions(list);
    good = good && X509_REQ_add_extensions(csr.get(), list) == 1;
  }
  if (!good || X509_REQ_sign(csr.get(), key.get(), EVP_sha256()) == 0) return openssl_fail("certificate request of " + request.common_name);
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_REQ(bio.get(), csr.get());
  return PendingCertificate{key_pem(key.get()), written(bio.get())};
}

static Result<RequestPtr> read_csr(std::string_view pem) {
  auto bio = reading(pem);
  RequestPtr csr(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (!csr) return fail(Code::malformed, "the text holds no certificate request in PEM");
  if (X509_REQ_verify(csr.get(), X509_REQ_get0_pubkey(csr.get())) != 1) {
    ERR_clear_error();
    return fail(Code::invalid, "the certificate request's signature does not hold");
  }
  return csr;
}

Result<std::string> sign_csr(const KeyPair& ca, std::string_view csr_pem, const CertificateRequest& request, WallTime now) {
  auto csr = TRY(read_csr(csr_pem));
  return issue(ca, X509_REQ_get0_pubkey(csr.get()), request, now);
}

namespace {

struct Usage {
  std::string_view name;  // as certificates.k8s.io spells it
  const char* openssl;    // as OpenSSL's configuration spells it
  bool extended;
};
// clang-format off
constexpr Usage usages[] = {
    {"signing", "digitalSignature", false},           {"digital signature", "digitalSignature", false},
    {"content commitment", "nonRepudiation", false},  {"key encipherment", "keyEncipherment", false},
    {"key agreement", "keyAgreement", false},         {"data encipherment", "dataEncipherment", false},
    {"cert sign", "keyCertSign", false},              {"crl sign", "cRLSign", false},
    {"encipher only", "encipherOnly", false},         {"decipher only", "decipherOnly", false},
    {"any", "anyExtendedKeyUsage", true},             {"server auth", "serverAuth", true},
    {"client auth", "clientAuth", true},              {"code signing", "codeSigning", true},
    {"email protection", "emailProtection", true},    {"s/mime", "emailProtection", true},
    {"ipsec end system", "ipsecEndSystem", true},     {"ipsec tunnel", "ipsecTunnel", true},
    {"ipsec user", "ipsecUser", true},                {"timestamping", "timeStamping", true},
    {"ocsp signing", "OCSPSigning", true},            {"microsoft sgc", "msSGC", true},
    {"netscape sgc", "nsSGC", true},
};
// clang-format on

// The key usages ("critical,…") and the extended ones, as OpenSSL's configuration has them; empty where there is none.
Result<std::pair<std::string, std::string>> key_usages(const std::vector<std::string>& wanted) {
  std::string plain, extended;
  for (const std::string& name : wanted) {
    const auto row = std::find_if(std::begin(usages), std::end(usages), [&](const Usage& usage) { return usage.name == name; });
    if (row == std::end(usages)) return fail(Code::invalid, "unrecognized usage values: [" + quoted(name) + "]");
    std::string& into = row->extended ? extended : plain;
    // Two words may mean the same.
    if (!("," + into + ",").contains("," + std::string(row->openssl) + ",")) into += (into.empty() ? "" : ",") + std::string(row->openssl);
  }
  if (!plain.empty()) plain = "critical," + plain;
  return std::pair(plain, extended);
}

}  // namespace

Result<std::string> sign_csr_as_requested(const KeyPair& ca, std::string_view csr_pem, const SigningPolicy& policy, WallTime now) {
  auto csr = TRY(read_csr(csr_pem));
  auto ca_chain = TRY_AS("CA certificate", certificates_from_pem(ca.certificate_pem));
  auto ca_key = TRY_AS("CA key", key_from_pem(ca.key_pem));
  const auto [plain, extended] = TRY(key_usages(policy.usages));
  X509* issuer = ca_chain[0].get();
  const WallTime ca_end = wall_time(X509_get0_notAfter(issuer));
  if (now >= ca_end) return fail(Code::invalid, "the cluster's CA certificate has expired: make a new one");
  CertificatePtr certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  set_random_serial(certificate.get());
  set_times(certificate.get(), policy.not_before, std::min(policy.not_after, ca_end));
  const X509_NAME* subject = X509_REQ_get_subject_name(csr.get());
  bool good = X509_set_subject_name(certificate.get(), subject) == 1 &&
              X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer)) == 1 &&
              X509_set_pubkey(certificate.get(), X509_REQ_get0_pubkey(csr.get())) == 1;
  if (!plain.empty()) good = good && add_extension(certificate.get(), issuer, NID_key_usage, plain.c_str());
  if (!extended.empty()) good = good && add_extension(certificate.get(), issuer, NID_ext_key_usage, extended.c_str());
  good = good && add_extension(certificate.get(), issuer, NID_basic_constraints, "critical,CA:FALSE");
  good = good && add_extension(certificate.get(), issuer, NID_authority_key_identifier, "keyid");
  // Who has no subject is known by the alternative names alone, which then are critical (RFC 5280, 4.2.1.6).
  const ExtensionsPtr extensions(X509_REQ_get_extensions(csr.get()));
  NamesPtr names(static_cast<GENERAL_NAMES*>(X509V3_get_d2i(extensions.get(), NID_subject_alt_name, nullptr, nullptr)));
  const int critical = X509_NAME_entry_count(subject) == 0;
  if (names) good = good && X509_add1_ext_i2d(certificate.get(), NID_subject_alt_name, names.get(), critical, X509V3_ADD_DEFAULT) == 1;
  if (!good || X509_sign(certificate.get(), ca_key.get(), EVP_sha256()) == 0) return openssl_fail("sign the certificate request");
  return certificate_pem(certificate.get());
}

Result<RequestedNames> parse_csr_names(std::string_view csr_pem) {
  auto csr = TRY(read_csr(csr_pem));
  RequestedNames asked;
  X509_NAME* subject = X509_REQ_get_subject_name(csr.get());
  auto names = name_entries(subject, NID_commonName);
  if (!names.empty()) asked.request.common_name = names.front();
  asked.request.organizations = name_entries(subject, NID_organizationName);
  const ExtensionsPtr extensions(X509_REQ_get_extensions(csr.get()));
  NamesPtr alternative(static_cast<GENERAL_NAMES*>(X509V3_get_d2i(extensions.get(), NID_subject_alt_name, nullptr, nullptr)));
  read_alternative_names(alternative.get(), asked.request.dns_names, asked.request.ip_addresses, &asked.emails, &asked.uris);
  return asked;
}

Result<CertificateRequest> parse_csr(std::string_view csr_pem) { return std::move(TRY(parse_csr_names(csr_pem)).request); }

Result<CertificateInfo> inspect_certificate(std::string_view pem) {
  auto chain = TRY(certificates_from_pem(pem));
  X509* certificate = chain[0].get();
  CertificateInfo info;
  X509_NAME* subject = X509_get_subject_name(certificate);
  auto names = name_entries(subject, NID_commonName);
  if (!names.empty()) info.common_name = names.front();
  info.organizations = name_entries(subject, NID_organizationName);
  auto issuers = name_entries(X509_get_issuer_name(certificate), NID_commonName);
  if (!issuers.empty()) info.issuer_common_name = issuers.front();
  NamesPtr alternative(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  read_alternative_names(alternative.get(), info.dns_names, info.ip_addresses);
  info.not_before = wall_time(X509_get0_notBefore(certificate));
  info.not_after = wall_time(X509_get0_notAfter(certificate));
  info.ca = X509_check_ca(certificate) == 1;
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
  info.serial = hex_encode({reinterpret_cast<const char*>(ASN1_STRING_get0_data(serial)), size_t(ASN1_STRING_length(serial))});
  return info;
}

Result<std::string> public_key_hash(std::string_view certificate_pem) {
  auto chain = TRY(certificates_from_pem(certificate_pem));
  unsigned char* der = nullptr;
  int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(chain[0].get()), &der);
  if (length <= 0) return openssl_fail("encode the certificate's public key");
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(der, size_t(length), digest, &size, EVP_sha256(), nullptr);
  OPENSSL_free(der);
  return "sha256:" + hex_encode({reinterpret_cast<char*>(digest), size});
}

Result<std::string> make_private_key() {
  KeyPtr key = generate_key();
  if (!key) return openssl_fail("generate a key");
  return key_pem(key.get());
}

Result<std::string> public_key_of(std::string_view private_key_pem) {
  auto key = TRY(key_from_pem(private_key_pem));
  BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PUBKEY(bio.get(), key.get());
  return written(bio.get());
}

// --- files ---------------------------------------------------------------------------------------------------------------

static Result<std::string> read_file(const std::string& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno("read " + path);
  std::string text;
  char buffer[4096];
  ssize_t got;
  while ((got = read(fd, buffer, sizeof buffer)) > 0) text.append(buffer, size_t(got));
  int error = errno;
  close(fd);
  if (got < 0) return fail_errno("read " + path, error);
  return text;
}

static Result<void> write_file(const std::string& path, std::string_view text, mode_t mode) {
  std::string temporary = path + ".tmp-" + random_suffix(5);
  int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return fail_errno("write " + path);
  bool good = true;
  while (good && !text.empty()) {
    ssize_t put = write(fd, text.data(), text.size());
    good = put >= 0;
    if (good) text.remove_prefix(size_t(put));
  }
  good = good && fsync(fd) == 0;
  int error = errno;
  close(fd);
  if (good && rename(temporary.c_str(), path.c_str()) == 0) return {};
  if (good) error = errno;
  unlink(temporary.c_str());
  return fail_errno("write " + path, error);
}

Result<KeyPair> load_key_pair(const std::string& certificate_path, const std::string& key_path) {
  KeyPair pair;
  pair.certificate_pem = TRY(read_file(certificate_path));
  pair.key_pem = TRY(read_file(key_path));
  auto chain = TRY_AS(certificate_path, certificates_from_pem(pair.certificate_pem));
  auto key = TRY_AS(key_path, key_from_pem(pair.key_pem));
  if (X509_check_private_key(chain[0].get(), key.get()) != 1) {
    ERR_clear_error();
    return fail(Code::invalid, key_path + " is not the key of the certificate in " + certificate_path);
  }
  return pair;
}

Result<void> store_key_pair(const KeyPair& pair, const std::string& certificate_path, const std::string& key_path) {
  TRY(write_file(key_path, pair.key_pem, 0600));
  return write_file(certificate_path, pair.certificate_pem, 0644);
}

}  // namespace estiba::io
