#include "io/jwt.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <optional>
#include <vector>

#include "base/strings.h"
#include "io/openssl.h"

namespace estiba::io {

namespace {

using DigestPtr = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;
using SignaturePtr = std::unique_ptr<ECDSA_SIG, Deleter<ECDSA_SIG_free>>;
using NumberPtr = std::unique_ptr<BIGNUM, Deleter<BN_free>>;

constexpr int p256_bytes = 32;

std::string_view view(const unsigned char* bytes, size_t size) { return {reinterpret_cast<const char*>(bytes), size}; }
const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

// "ES256", "RS256", or empty for keys that are not used here.
std::string_view algorithm_of(EVP_PKEY* key) {
  char group[32] = "";
  size_t size = 0;
  if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &size) == 1 && std::string_view(group) == "prime256v1")
    return "ES256";
  if (EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= 2048) return "RS256";
  return {};
}

std::string number(EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &raw) != 1) return {};
  NumberPtr value(raw);
  std::string bytes(size_t(BN_num_bytes(raw)), '\0');
  BN_bn2bin(raw, reinterpret_cast<unsigned char*>(bytes.data()));
  return bytes;
}

// As kube-apiserver's: the hash of the public key's DER form.
std::string key_id_of(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  int length = i2d_PUBKEY(key, &der);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (length > 0) EVP_Digest(der, size_t(length), digest, &size, EVP_sha256(), nullptr);
  OPENSSL_free(der);
  return base64url_encode(view(digest, size));
}

std::string jwk_of(EVP_PKEY* key, const std::string& id) {
  std::string_view algorithm = algorithm_of(key);
  std::string head = "{\"use\":\"sig\",\"kid\":\"" + id + "\",\"alg\":\"" + std::string(algorithm) + "\",";
  if (algorithm == "RS256")
    return head + "\"kty\":\"RSA\",\"n\":\"" + base64url_encode(number(key, OSSL_PKEY_PARAM_RSA_N)) + "\",\"e\":\"" +
           base64url_encode(number(key, OSSL_PKEY_PARAM_RSA_E)) + "\"}";
  unsigned char point[1 + 2 * p256_bytes];
  size_t size = 0;
  EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &size);
  return head + "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" + base64url_encode(view(point + 1, p256_bytes)) + "\",\"y\":\"" +
         base64url_encode(view(point + 1 + p256_bytes, p256_bytes)) + "\"}";
}

// JWS wants r and s side by side (RFC 7518, 3.4); OpenSSL speaks DER.
std::optional<std::string> raw_from_der(std::string_view der) {
  const unsigned char* at = bytes_of(der);
  SignaturePtr signature(d2i_ECDSA_SIG(nullptr, &at, long(der.size())));
  if (!signature) return std::nullopt;
  std::string raw(2 * p256_bytes, '\0');
  auto* out = reinterpret_cast<unsigned char*>(raw.data());
  if (BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), out, p256_bytes) < 0 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), out + p256_bytes, p256_bytes) < 0)
    return std::nullopt;
  return raw;
}

std::optional<std::string> der_from_raw(std::string_view raw) {
  if (raw.size() != 2 * p256_bytes) return std::nullopt;
  SignaturePtr signature(ECDSA_SIG_new());
  ECDSA_SIG_set0(signature.get(), BN_bin2bn(bytes_of(raw), p256_bytes, nullptr),
                 BN_bin2bn(bytes_of(raw) + p256_bytes, p256_bytes, nullptr));
  unsigned char* der = nullptr;
  int length = i2d_ECDSA_SIG(signature.get(), &der);
  if (length <= 0) return std::nullopt;
  std::string text(view(der, size_t(length)));
  OPENSSL_free(der);
  return text;
}

bool holds(EVP_PKEY* key, std::string_view algorithm, std::string_view signed_part, std::string_view signature) {
  std::string der;
  if (algorithm == "ES256") {
    auto converted = der_from_raw(signature);
    if (!converted) return false;
    der = std::move(*converted);
    signature = der;
  }
  DigestPtr context(EVP_MD_CTX_new());
  bool good = EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
              EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(signed_part), signed_part.size()) == 1;
  ERR_clear_error();
  return good;
}

// A token's header is a small flat object; this reads one string member of it. Anything unusual (nesting before the member,
// escapes in the value) reads as absent, which refuses the token.
std::string_view string_member(std::string_view json, std::string_view name) {
  bool in_key_position = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i] == '{' || json[i] == ',') in_key_position = true;
    if (json[i] != '"') continue;
    size_t end = json.find_first_of("\"\\", i + 1);
    if (end == json.npos || json[end] == '\\') return {};
    std::string_view text = json.substr(i + 1, end - i - 1);
    i = end;
    if (!in_key_position || text != name) {
      in_key_position = false;
      continue;
    }
    size_t colon = json.find_first_not_of(" \t\r\n", end + 1);
    size_t quote = colon == json.npos ? json.npos : json.find_first_not_of(" \t\r\n", colon + 1);
    if (quote == json.npos || json[colon] != ':' || json[quote] != '"') return {};
    size_t close = json.find_first_of("\"\\", quote + 1);
    return close == json.npos || json[close] == '\\' ? std::string_view() : json.substr(quote + 1, close - quote - 1);
  }
  return {};
}

Result<KeyPtr> public_key_from_pem(std::string_view pem) {
  if (auto key = key_from_pem(pem)) return std::move(*key);
  if (auto chain = certificates_from_pem(pem)) return KeyPtr(X509_get_pubkey((*chain)[0].get()));
  auto bio = reading(pem);
  KeyPtr key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (!key) return fail(Code::malformed, "the text holds no public key, certificate or private key in PEM");
  return key;
}

}  // namespace

// --- JwtSigner -------------------------------------------------------------------------------------------------------------

struct JwtSigner::State {
  KeyPtr key;
  std::string id, jwk, header;  // header: encoded, with its dot
  std::string_view algorithm;
};

Result<JwtSigner> JwtSigner::make(std::string_view private_key_pem) {
  auto state = std::make_shared<State>();
  state->key = TRY_AS("token signing key", key_from_pem(private_key_pem));
  state->algorithm = algorithm_of(state->key.get());
  if (state->algorithm.empty()) return fail(Code::invalid, "token signing key: it must be ECDSA P-256, or RSA with 2048 bits or more");
  state->id = key_id_of(state->key.get());
  state->jwk = jwk_of(state->key.get(), state->id);
  state->header = base64url_encode("{\"alg\":\"" + std::string(state->algorithm) + "\",\"kid\":\"" + state->id + "\"}") + ".";
  JwtSigner signer;
  signer.state_ = std::move(state);
  return signer;
}

Result<std::string> JwtSigner::sign(std::string_view claims) const {
  std::string token = state_->header + base64url_encode(claims);
  DigestPtr context(EVP_MD_CTX_new());
  unsigned char signature[1024];
  size_t size = sizeof signature;
  if (EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, state_->key.get()) != 1 ||
      EVP_DigestSign(context.get(), signature, &size, bytes_of(token), token.size()) != 1)
    return openssl_fail("sign a token");
  if (state_->algorithm == "RS256") return token + "." + base64url_encode(view(signature, size));
  auto raw = raw_from_der(view(signature, size));
  if (!raw) return openssl_fail("sign a token");
  return token + "." + base64url_encode(*raw);
}

const std::string& JwtSigner::key_id() const { return state_->id; }
const std::string& JwtSigner::jwk() const { return state_->jwk; }
std::string_view JwtSigner::algorithm() const { return state_->algorithm; }

// --- JwtVerifier -----------------------------------------------------------------------------------------------------------

struct JwtVerifier::State {
  struct Key {
    KeyPtr key;
    std::string id;
    std::string_view algorithm;
  };
  std::vector<Key> keys;
};

JwtVerifier::JwtVerifier() : state_(std::make_shared<State>()) {}

Result<void> JwtVerifier::add_key(std::string_view pem) {
  State::Key key{.key = TRY(public_key_from_pem(pem))};
  key.algorithm = algorithm_of(key.key.get());
  if (key.algorithm.empty()) return fail(Code::invalid, "token key: it must be ECDSA P-256, or RSA with 2048 bits or more");
  key.id = key_id_of(key.key.get());
  state_->keys.push_back(std::move(key));
  return {};
}

Result<std::string> JwtVerifier::verify(std::string_view token) const {
  auto refuse = [](std::string why) { return fail(Code::unauthorized, "the token is not accepted: " + why); };
  size_t first = token.find('.');
  size_t last = token.rfind('.');
  if (first == token.npos || last == first) return refuse("it is no JSON Web Token");
  auto header = base64url_decode(token.substr(0, first));
  auto claims = base64url_decode(token.substr(first + 1, last - first - 1));
  auto signature = base64url_decode(token.substr(last + 1));
  if (!header || !claims || !signature) return refuse("it is not encoded in base64url");
  std::string_view algorithm = string_member(*header, "alg"), id = string_member(*header, "kid");
  if (algorithm != "ES256" && algorithm != "RS256") return refuse("its algorithm is not ES256 or RS256");
  for (const State::Key& key : state_->keys) {
    if (key.algorithm != algorithm || (!id.empty() && id != key.id)) continue;
    if (holds(key.key.get(), algorithm, token.substr(0, last), *signature)) return std::move(*claims);
  }
  return refuse("its signature is not by a key of this cluster");
}

}  // namespace estiba::io
