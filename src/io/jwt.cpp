#include "io/jwt.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
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

struct Algorithm {
  std::string_view name;
  const EVP_MD* (*digest)();
  std::string_view curve;  // of EC keys; empty: RSA
  int bytes = 0;           // of each of the signature's two numbers
  bool pss = false;
};
// RFC 7518, 3.1.
const Algorithm algorithms[] = {
    {"RS256", EVP_sha256, "", 0, false},
    {"RS384", EVP_sha384, "", 0, false},
    {"RS512", EVP_sha512, "", 0, false},
    {"PS256", EVP_sha256, "", 0, true},
    {"PS384", EVP_sha384, "", 0, true},
    {"PS512", EVP_sha512, "", 0, true},
    {"ES256", EVP_sha256, "prime256v1", 32, false},
    {"ES384", EVP_sha384, "secp384r1", 48, false},
    {"ES512", EVP_sha512, "secp521r1", 66, false},
};

const Algorithm* find_algorithm(std::string_view name) {
  for (const Algorithm& one : algorithms)
    if (one.name == name) return &one;
  return nullptr;
}

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

bool fits(EVP_PKEY* key, const Algorithm& algorithm) {
  if (algorithm.curve.empty()) return EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= 2048;
  char group[32] = "";
  size_t size = 0;
  return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &size) == 1 && algorithm.curve == group;
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

std::optional<std::string> der_from_raw(std::string_view raw, int bytes) {
  if (raw.size() != 2 * size_t(bytes)) return std::nullopt;
  SignaturePtr signature(ECDSA_SIG_new());
  ECDSA_SIG_set0(signature.get(), BN_bin2bn(bytes_of(raw), bytes, nullptr), BN_bin2bn(bytes_of(raw) + bytes, bytes, nullptr));
  unsigned char* der = nullptr;
  int length = i2d_ECDSA_SIG(signature.get(), &der);
  if (length <= 0) return std::nullopt;
  std::string text(view(der, size_t(length)));
  OPENSSL_free(der);
  return text;
}

bool holds(EVP_PKEY* key, const Algorithm& algorithm, std::string_view signed_part, std::string_view signature) {
  std::string der;
  if (algorithm.bytes > 0) {
    auto converted = der_from_raw(signature, algorithm.bytes);
    if (!converted) return false;
    der = std::move(*converted);
    signature = der;
  }
  DigestPtr context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* padding = nullptr;  // of `context`
  bool good = EVP_DigestVerifyInit(context.get(), &padding, algorithm.digest(), nullptr, key) == 1;
  if (good && algorithm.pss) {
    good = EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, RSA_PSS_SALTLEN_DIGEST) == 1;
  }
  good = good && EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(signed_part), signed_part.size()) == 1;
  ERR_clear_error();
  return good;
}

using BuilderPtr = std::unique_ptr<OSSL_PARAM_BLD, Deleter<OSSL_PARAM_BLD_free>>;
using ParametersPtr = std::unique_ptr<OSSL_PARAM, Deleter<OSSL_PARAM_free>>;
using KeyContextPtr = std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX_free>>;

Result<KeyPtr> key_from_parameters(const char* kind, OSSL_PARAM_BLD* builder) {
  ParametersPtr parameters(OSSL_PARAM_BLD_to_param(builder));
  KeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr));
  EVP_PKEY* raw = nullptr;
  const bool good = parameters && EVP_PKEY_fromdata_init(context.get()) == 1 &&
                    EVP_PKEY_fromdata(context.get(), &raw, EVP_PKEY_PUBLIC_KEY, parameters.get()) == 1;
  ERR_clear_error();
  if (!good) return fail(Code::malformed, "the JSON Web Key is no key");
  return KeyPtr(raw);
}

Result<KeyPtr> rsa_key(const Jwk& jwk) {
  const std::string modulus = TRY(base64url_decode(jwk.n)), exponent = TRY(base64url_decode(jwk.e));
  NumberPtr n(BN_bin2bn(bytes_of(modulus), int(modulus.size()), nullptr)), e(BN_bin2bn(bytes_of(exponent), int(exponent.size()), nullptr));
  BuilderPtr builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
  return key_from_parameters("RSA", builder.get());
}

Result<KeyPtr> ec_key(const Jwk& jwk) {
  static constexpr std::pair<std::string_view, std::string_view> curves[] = {{"P-256", "ES256"}, {"P-384", "ES384"}, {"P-521", "ES512"}};
  const Algorithm* algorithm = nullptr;
  for (const auto& [curve, name] : curves)
    if (curve == jwk.crv) algorithm = find_algorithm(name);
  if (!algorithm) return fail(Code::unsupported, "the JSON Web Key is on the unknown curve " + quoted(jwk.crv));
  std::string point = "\x04";
  for (const std::string& coordinate : {TRY(base64url_decode(jwk.x)), TRY(base64url_decode(jwk.y))}) {
    if (coordinate.size() > size_t(algorithm->bytes)) return fail(Code::malformed, "the JSON Web Key's coordinates are too long");
    point.append(size_t(algorithm->bytes) - coordinate.size(), '\0').append(coordinate);
  }
  const std::string curve(algorithm->curve);
  BuilderPtr builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.c_str(), 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  return key_from_parameters("EC", builder.get());
}

// The blocks of a PEM text, each with its armor.
std::vector<std::string_view> pem_blocks(std::string_view text) {
  std::vector<std::string_view> out;
  constexpr std::string_view begin = "-----BEGIN ", end = "-----END ";
  for (size_t at = text.find(begin); at != text.npos;) {
    size_t stop = text.find(end, at);
    if (stop == text.npos) break;
    stop = std::min(text.find('\n', stop), text.size());
    const std::string_view block = text.substr(at, stop - at);
    if (!block.starts_with("-----BEGIN EC PARAMETERS")) out.push_back(block);
    at = text.find(begin, stop);
  }
  return out;
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
    bool published = false;
  };
  std::vector<Key> keys;
  std::vector<std::string> algorithms;
};

JwtVerifier::JwtVerifier(std::vector<std::string> algorithms) : state_(std::make_shared<State>()) {
  state_->algorithms = std::move(algorithms);
}

bool JwtVerifier::is_algorithm(std::string_view name) { return find_algorithm(name) != nullptr; }

Result<void> JwtVerifier::add_key(std::string_view pem) {
  const auto blocks = pem_blocks(pem);
  if (blocks.empty()) return fail(Code::malformed, "the text holds no public key, certificate or private key in PEM");
  for (std::string_view block : blocks) {
    State::Key key{.key = TRY(public_key_from_pem(std::string(block) + "\n"))};
    if (algorithm_of(key.key.get()).empty()) return fail(Code::invalid, "token key: it must be ECDSA P-256, or RSA with 2048 bits or more");
    key.id = key_id_of(key.key.get());
    key.published = true;
    if (!knows(key.id)) state_->keys.push_back(std::move(key));
  }
  return {};
}

Result<void> JwtVerifier::add_jwk(const Jwk& jwk) {
  if (jwk.kty != "RSA" && jwk.kty != "EC") return fail(Code::unsupported, "the JSON Web Key is of the unknown kind " + quoted(jwk.kty));
  auto key = jwk.kty == "RSA" ? rsa_key(jwk) : ec_key(jwk);
  if (!key) return std::unexpected(std::move(key.error()));
  state_->keys.push_back({std::move(*key), jwk.kid, false});
  return {};
}

bool JwtVerifier::knows(std::string_view id) const {
  return std::any_of(state_->keys.begin(), state_->keys.end(), [&](const State::Key& key) { return key.id == id; });
}

std::vector<std::string> JwtVerifier::jwks() const {
  std::vector<std::string> out;
  for (const State::Key& key : state_->keys)
    if (key.published) out.push_back(jwk_of(key.key.get(), key.id));
  return out;
}

Result<std::string> JwtVerifier::verify(std::string_view token) const {
  auto refuse = [](std::string why) { return fail(Code::unauthorized, "the token is not accepted: " + why); };
  auto parts = peek_jwt(token);
  if (!parts) return refuse("it is no JSON Web Token in base64url");
  const size_t last = token.rfind('.');
  auto signature = base64url_decode(token.substr(last + 1));
  if (!signature) return refuse("it is not encoded in base64url");
  std::string_view name = string_member(parts->header, "alg"), id = string_member(parts->header, "kid");
  const Algorithm* algorithm = find_algorithm(name);
  const auto& accepted = state_->algorithms;
  if (!algorithm || std::find(accepted.begin(), accepted.end(), name) == accepted.end())
    return refuse("its algorithm is not " + join(accepted, " or "));
  for (const State::Key& key : state_->keys) {
    if (!fits(key.key.get(), *algorithm) || (!id.empty() && !key.id.empty() && id != key.id)) continue;
    if (holds(key.key.get(), *algorithm, token.substr(0, last), *signature)) return std::move(parts->claims);
  }
  return refuse("its signature is not by a key that is known");
}

std::optional<JwtParts> peek_jwt(std::string_view token) {
  const size_t first = token.find('.'), last = token.rfind('.');
  if (first == token.npos || last == first || token.find('.', first + 1) != last) return std::nullopt;
  auto header = base64url_decode(token.substr(0, first)), claims = base64url_decode(token.substr(first + 1, last - first - 1));
  if (!header || !claims) return std::nullopt;
  return JwtParts{std::move(*header), std::move(*claims)};
}

}  // namespace estiba::io
