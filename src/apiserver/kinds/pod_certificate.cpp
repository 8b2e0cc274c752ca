// PodCertificateRequests (pkg/apis/certificates/validation/validation.go). Whether the proof of possession fits the key is for the
// signer to check; here its form is.
#include "apiserver/edit.h"
#include "apiserver/kinds/access.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/value_checks.h"
#include "base/strings.h"
#include "io/pki.h"
#include "model/custom/definition.h"

namespace estiba::apiserver::access {
namespace {

using json::Node;
using model::has_condition;

constexpr int64_t least_seconds = 3600, most_seconds = 91 * 24 * 3600, most_kubernetes_seconds = 24 * 3600;
constexpr size_t longest_key = 10 * 1024, longest_chain = 100 * 1024;

bool is_final(std::string_view type) { return type == "Issued" || type == "Denied" || type == "Failed"; }

std::string as_pem(std::string_view der) {
  const std::string text = base64_encode(der);
  std::string out = "-----BEGIN CERTIFICATE REQUEST-----\n";
  for (size_t i = 0; i < text.size(); i += 64) out.append(text.substr(i, 64)).append("\n");
  return out + "-----END CERTIFICATE REQUEST-----\n";
}

void validate_keys(const Node& spec, FieldErrors& errors) {
  const std::string_view request = spec.string_at("stubPKCS10Request"), key = spec.string_at("pkixPublicKey"),
                         proof = spec.string_at("proofOfPossession");
  if (!(key.empty() == proof.empty() && key.empty() != request.empty()))
    return errors.invalid_string("spec", "", "exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set");
  for (std::string_view field : {"stubPKCS10Request", "pkixPublicKey", "proofOfPossession"}) {
    if (spec.string_at(field).empty()) continue;
    const auto bytes = base64_decode(spec.string_at(field));
    const std::string path = "spec." + std::string(field);
    if (bytes && bytes->size() > longest_key) errors.too_long(path, longest_key);
    else if (field == "stubPKCS10Request" && (!bytes || !io::parse_csr(as_pem(*bytes))))
      errors.invalid_string(path, spec.string_at(field), "must be a valid PKCS#10 request with a signature that holds");
  }
}

void validate_seconds(const Node& spec, std::string_view signer, FieldErrors& errors) {
  const auto seconds = int_at(spec, "maxExpirationSeconds");
  if (!seconds) return errors.required("spec.maxExpirationSeconds", "must be set");
  const bool own = signer.starts_with("kubernetes.io/");
  const int64_t most = own ? most_kubernetes_seconds : most_seconds;
  if (*seconds < least_seconds || *seconds > most)
    errors.invalid("spec.maxExpirationSeconds", spec.find("maxExpirationSeconds"),
                   "must be in the range [" + std::to_string(least_seconds) + ", " + std::to_string(most) + "]");
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

void validate_pod_certificate_request_status(Draft& draft) {
  FieldErrors& errors = draft.errors;
  const Node& status = draft.status();
  int known = 0;
  each(status, "conditions", "status", [&](const Node& condition, const std::string& here) {
    const std::string_view type = condition.string_at("type");
    if (!is_final(type)) return errors.not_supported(here + ".type", type, {"Denied", "Failed", "Issued"});
    if (++known > 1)
      errors.invalid_string(here + ".type", type, "There may be at most one condition with type \"Issued\", \"Denied\", or \"Failed\"");
    if (condition.string_at("status") != "True") errors.not_supported(here + ".status", condition.string_at("status"), {"True"});
  });
  constexpr FieldRule rules[] = {{"conditions[].reason", Check::required}, {"conditions[].lastTransitionTime", Check::required}};
  check_fields(status, rules, "status", errors);
  if (!errors.empty()) return;
  const Node* before = draft.old->find("status");
  for (std::string_view type : {"Issued", "Denied", "Failed"}) {
    if (!has_condition(*draft.old, type)) continue;
    if (!same(before, &status)) errors.invalid("status", &status, "immutable after PodCertificateRequest is issued, denied, or failed");
    return;
  }
  if (has_condition(draft.object, "Denied") || has_condition(draft.object, "Failed")) {
    for (const Node& member : status)
      if (member.key() != "conditions" && has_value(status, member.key()))
        return errors.invalid("status", &status,
                              "non-condition status fields must be empty when denying or failing the PodCertificateRequest");
    return;
  }
  if (!has_condition(draft.object, "Issued")) return;
  const std::string_view chain = status.string_at("certificateChain");
  if (chain.size() > longest_chain) return errors.too_long("status.certificateChain", longest_chain);
  if (!chain.contains("-----BEGIN "))
    return errors.invalid_string("status.certificateChain", chain, "issued certificate chain must contain at least one certificate");
  if (auto leaf = io::inspect_certificate(chain); !leaf)
    return errors.invalid_string("status.certificateChain", chain, "leaf certificate does not parse as valid X.509");
  for (std::string_view time : {"notBefore", "beginRefreshAt", "notAfter"})
    if (!has_value(status, time))
      errors.required("status." + std::string(time), "must be present and consistent with the issued certificate");
}

}  // namespace estiba::apiserver::access
