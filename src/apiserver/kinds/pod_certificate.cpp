// PodCertificateRequests (pkg/apis/certificates/validation/validation.go): whoever asks shows that he has the private key, and what is
// issued is for that key and no longer than asked. Only who may sign for the signer answers.
#include <algorithm>

#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "apiserver/kinds/access.h"
#include "apiserver/kinds/certificate_rules.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/value_checks.h"
#include "apiserver/signers.h"
#include "base/strings.h"
#include "base/time.h"
#include "io/public_keys.h"
#include "model/custom/definition.h"

namespace estiba::apiserver::access {
namespace {

using io::PublicKey;
using json::Node;
using model::has_condition;
using namespace std::chrono_literals;

constexpr size_t longest_key = 10 * 1024, longest_chain = 100 * 1024;
constexpr std::string_view final_conditions[] = {"Issued", "Denied", "Failed"};

// A value that is of no use to whoever reads the message is left out.
void add_invalid(FieldErrors& errors, std::string field, std::string_view detail) {
  errors.add({"FieldValueInvalid", "Invalid value: " + std::string(detail), std::move(field)});
}

// ---- the key

/// Of a kind that pods may have; tells what is wrong otherwise.
bool validate_kind(const PublicKey& key, const std::string& field, std::string_view curves, FieldErrors& errors) {
  switch (key.kind) {
    case PublicKey::Kind::ed25519: return true;
    case PublicKey::Kind::ecdsa:
      if (key.curve == "P-256" || key.curve == "P-384" || key.curve == "P-521") return true;
      errors.invalid_string(field, "curve " + key.curve, "elliptic public keys must use curve " + std::string(curves));
      return false;
    case PublicKey::Kind::rsa:
      if (key.bits == 3072 || key.bits == 4096) return true;
      errors.invalid_string(field, std::to_string(key.bits) + "-bit modulus", "RSA keys must have modulus size 3072 or 4096");
      return false;
    case PublicKey::Kind::other: break;
  }
  add_invalid(errors, field, "unknown public key type; supported types are Ed25519, ECDSA, and RSA");
  return false;
}

void validate_stub_request(const std::string& der, FieldErrors& errors) {
  const std::string field = "spec.stubPKCS10Request";
  if (der.size() > longest_key) return errors.too_long(field, longest_key);
  const auto request = io::read_key_request(der);
  if (!request) return add_invalid(errors, field, "must be a valid PKCS#10 CSR");
  if (validate_kind(request->key, field, "P256, P384, or P521", errors) && !request->holds) add_invalid(errors, field, "invalid signature");
}

// The older form: the pod's UID is what the key has signed.
void validate_proof(const std::string& der, const std::string& proof, std::string_view pod_uid, FieldErrors& errors) {
  const std::string field = "spec.pkixPublicKey";
  if (der.size() > longest_key) return errors.too_long(field, longest_key);
  if (proof.size() > longest_key) return errors.too_long("spec.proofOfPossession", longest_key);
  const auto key = io::read_public_key(der);
  if (!key) return add_invalid(errors, field, "must be a valid PKIX-serialized public key");
  if (validate_kind(*key, field, "P256 or P384", errors) && !io::has_signed(*key, pod_uid, proof))
    add_invalid(errors, "spec.proofOfPossession", "could not verify proof-of-possession signature");
}

std::string bytes_at(const Node& spec, std::string_view field) { return base64_decode(spec.string_at(field)).value_or(std::string()); }

void validate_keys(const Node& spec, FieldErrors& errors) {
  const std::string request = bytes_at(spec, "stubPKCS10Request"), key = bytes_at(spec, "pkixPublicKey"),
                    proof = bytes_at(spec, "proofOfPossession");
  if (!request.empty() && key.empty() && proof.empty()) return validate_stub_request(request, errors);
  if (request.empty() && !key.empty() && !proof.empty()) return validate_proof(key, proof, spec.string_at("podUID"), errors);
  add_invalid(errors, "spec", "exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set");
}

void validate_seconds(const Node& spec, std::string_view signer, FieldErrors& errors) {
  const auto seconds = int_at(spec, "maxExpirationSeconds");
  if (!seconds) return errors.required("spec.maxExpirationSeconds", "must be set");
  const int64_t most = most_certificate_seconds(signer);
  if (*seconds < least_certificate_seconds || *seconds > most)
    errors.invalid("spec.maxExpirationSeconds", spec.find("maxExpirationSeconds"),
                   "must be in the range [" + std::to_string(least_certificate_seconds) + ", " + std::to_string(most) + "]");
}

// ---- what was issued

constexpr std::string_view chain_field = "status.certificateChain";

void add_to_chain(FieldErrors& errors, std::string_view value, std::string_view detail) {
  errors.invalid_string(std::string(chain_field), value, detail);
}

void validate_names(const io::IssuedCertificate& leaf, FieldErrors& errors) {
  for (const std::string& name : leaf.dns_names) {
    if (name.empty()) add_to_chain(errors, name, "leaf certificate should not contain empty DNSName");
    if (name.contains("..")) add_to_chain(errors, name, "leaf certificate's DNSName should not contain '..'");
    if (name.starts_with('.') || name.ends_with('.'))
      add_to_chain(errors, name, "leaf certificate's DNSName should not start or end with '.'");
  }
  for (const std::string& email : leaf.emails) {
    const size_t at = email.find('@');
    const bool good = at != std::string::npos && at > 0 && at + 1 < email.size() && email.find_first_of(" \t\r\n<>,;") == std::string::npos;
    if (!good) add_to_chain(errors, email, "leaf certificate should not contain invalid EmailAddress");
  }
}

Result<PublicKey> asked_key(const Node& spec) {
  const std::string request = bytes_at(spec, "stubPKCS10Request");
  if (request.empty()) return io::read_public_key(bytes_at(spec, "pkixPublicKey"));
  auto read = io::read_key_request(request);
  if (!read) return std::unexpected(std::move(read.error()));
  return std::move(read->key);
}

// Kubernetes names whole seconds ("5m0s") here.
void validate_times(const Node& status, const Node& spec, const io::IssuedCertificate& leaf, WallTime now, FieldErrors& errors) {
  for (const auto& [field, detail] : {std::pair("notBefore", "must be present and consistent with the issued certificate"),
                                      {"notAfter", "must be present and consistent with the issued certificate"},
                                      {"beginRefreshAt", "must be present and in the range [notbefore+10min, notafter-10min]"}})
    if (!has_value(status, field)) errors.required("status." + std::string(field), detail);
  if (!errors.empty()) return;
  const auto time = [&](std::string_view field) { return parse_rfc3339(status.string_at(field)).value_or(WallTime{}); };
  const auto refuse = [&](std::string_view field, std::string_view detail) {
    errors.invalid_string("status." + std::string(field), status.string_at(field), detail);
  };
  const WallTime from = time("notBefore"), until = time("notAfter"), refresh = time("beginRefreshAt");
  if (from != leaf.not_before) return refuse("notBefore", "must be set to the NotBefore time encoded in the leaf certificate");
  if (from < now - 5min || from > now + 5min)
    return refuse("notBefore", "must be set to within 5 minutes of kube-apiserver's current time");
  if (until != leaf.not_after) return refuse("notAfter", "must be set to the NotAfter time encoded in the leaf certificate");
  const auto lifetime = std::chrono::duration_cast<std::chrono::seconds>(until - from);
  const std::string shown = std::to_string(lifetime.count()) + "s";
  const int64_t most = int_at(spec, "maxExpirationSeconds").value_or(0);
  if (lifetime < 1h) return add_to_chain(errors, shown, "leaf certificate lifetime must be >= 1 hour");
  if (lifetime.count() > most)
    return add_to_chain(errors, shown, "leaf certificate lifetime must be <= spec.maxExpirationSeconds (" + std::to_string(most) + ")");
  if (refresh < from + 10min) return refuse("beginRefreshAt", "must be at least 10 minutes after status.notBefore");
  if (refresh > until - 10min) return refuse("beginRefreshAt", "must be at least 10 minutes before status.notAfter");
}

void validate_issued(const Node& status, const Node& spec, WallTime now, FieldErrors& errors) {
  const std::string_view chain = status.string_at("certificateChain");
  if (chain.size() > longest_chain) return errors.too_long(std::string(chain_field), longest_chain);
  const auto refuse = [&](std::string_view detail) { add_to_chain(errors, chain, detail); };
  const std::vector<io::PemBlock> blocks = io::read_pem(chain);
  if (blocks.empty()) return refuse("issued certificate chain must contain at least one certificate");
  if (blocks.front().type != "CERTIFICATE") return refuse("issued certificate chain must consist entirely of CERTIFICATE PEM blocks");
  const auto leaf = io::read_certificate(blocks.front().der);
  if (!leaf) return refuse("leaf certificate does not parse as valid X.509");
  validate_names(*leaf, errors);
  const auto key = asked_key(spec);
  if (!key || *key != leaf->key) return refuse("leaf certificate was not issued to the requested public key");
  validate_times(status, spec, *leaf, now, errors);
  if (!errors.empty()) return;
  for (size_t i = 1; i < blocks.size(); ++i) {
    if (blocks[i].type != "CERTIFICATE") return refuse("issued certificate chain must consist entirely of CERTIFICATE PEM blocks");
    if (!io::read_certificate(blocks[i].der)) return refuse("intermediate certificate does not parse as valid X.509");
  }
}

void validate_conditions(const Node& status, FieldErrors& errors) {
  int known = 0;
  each(status, "conditions", "status", [&](const Node& condition, const std::string& here) {
    const std::string_view type = condition.string_at("type");
    if (std::ranges::find(final_conditions, type) == std::end(final_conditions))
      return errors.not_supported(here + ".type", type, {"Denied", "Failed", "Issued"});
    if (++known > 1)
      errors.invalid_string(here + ".type", type, "There may be at most one condition with type \"Issued\", \"Denied\", or \"Failed\"");
    if (condition.string_at("status") != "True") errors.not_supported(here + ".status", condition.string_at("status"), {"True"});
  });
  constexpr FieldRule rules[] = {{"conditions[].reason", Check::required}, {"conditions[].lastTransitionTime", Check::required}};
  check_fields(status, rules, "status", errors);
}

}  // namespace

void validate_pod_certificate_request(Draft& draft) {
  if (!draft.creating()) return require_unchanged(draft, "spec");
  const Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  const std::string_view signer = spec.string_at("signerName");
  if (signer.empty()) errors.required("spec.signerName");
  else
    for (const std::string& problem : check_signer_name(signer)) errors.invalid_string("spec.signerName", signer, problem);
  validate_user_annotations(spec.find("unverifiedUserAnnotations"), "spec.unverifiedUserAnnotations", errors);
  constexpr FieldRule rules[] = {
      {"podName", Check::dns_subdomain}, {"serviceAccountName", Check::dns_subdomain}, {"nodeName", Check::dns_subdomain}};
  check_fields(spec, rules, "spec", errors);
  for (std::string_view field : {"podUID", "serviceAccountUID", "nodeUID"}) {
    const std::string path = "spec." + std::string(field);
    if (spec.string_at(field).empty()) errors.invalid_string(path, "", "must not be empty");
    if (spec.string_at(field).size() > 128) errors.too_long(path, 128);
  }
  validate_seconds(spec, signer, errors);
  validate_keys(spec, errors);
}

static void validate_answer(Draft& draft, const Node& status, const Node* before, FieldErrors& errors) {
  validate_conditions(status, errors);
  if (!errors.empty()) return;
  const auto has_final = [](const Node& request) {
    return std::ranges::any_of(final_conditions, [&](std::string_view type) { return has_condition(request, type); });
  };
  if (has_final(*draft.old)) {
    if (!same(before, &status)) errors.invalid("status", &status, "immutable after PodCertificateRequest is issued, denied, or failed");
  } else if (has_condition(draft.object, "Denied") || has_condition(draft.object, "Failed")) {
    for (const Node& member : status)
      if (member.key() != "conditions" && has_value(status, member.key()))
        return errors.invalid("status", &status,
                              "non-condition status fields must be empty when denying or failing the PodCertificateRequest");
  } else if (has_condition(draft.object, "Issued")) {
    validate_issued(status, *draft.old->find("spec"), draft.cluster.now(), errors);
  } else if (!status.empty() && !same(before, &status)) {
    errors.invalid("status", &status, "status is immutable unless transitioning to \"Issued\", \"Denied\", or \"Failed\"");
  }
}

void validate_pod_certificate_request_status(Draft& draft) {
  const Node& status = draft.status();
  const Node* before = draft.old->find("status");
  validate_answer(draft, status, before, draft.errors);
  if (!draft.errors.empty() || same(before, &status)) return;
  const std::string_view signer = draft.old->string_at("spec", "signerName");
  if (may_act_for_signer(draft.cluster, draft.action.user, "sign", signer)) return;
  draft.errors.forbidden("spec.signerName",
                         "User " + quoted(draft.action.user.name) + " is not permitted to \"sign\" for signer " + quoted(signer));
}

}  // namespace estiba::apiserver::access
