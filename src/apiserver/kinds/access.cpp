// pkg/apis/rbac/validation/validation.go, pkg/apis/certificates/validation/validation.go
#include "apiserver/kinds/access.h"

#include <algorithm>

#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "apiserver/kinds/field_rules.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/value_checks.h"
#include "base/strings.h"
#include "base/time.h"
#include "io/pki.h"
#include "model/names.h"

namespace estiba::apiserver::access {
namespace {

using json::Node;

constexpr std::string_view rbac = "rbac.authorization.k8s.io";

void validate_rule(const Node& rule, bool namespaced, const std::string& path, FieldErrors& errors) {
  check_value(rule.find("verbs"), Check::required, "verbs must contain at least one value", path + ".verbs", errors);
  if (has_value(rule, "nonResourceURLs")) {
    const Node* urls = rule.find("nonResourceURLs");
    if (namespaced) errors.invalid(path + ".nonResourceURLs", urls, "namespaced rules cannot apply to non-resource URLs");
    if (has_value(rule, "apiGroups") || has_value(rule, "resources") || has_value(rule, "resourceNames"))
      errors.invalid(path + ".nonResourceURLs", urls, "rules cannot apply to both regular resources and non-resource URLs");
    return;
  }
  if (!has_value(rule, "apiGroups")) errors.required(path + ".apiGroups", "resource rules must supply at least one api group");
  if (!has_value(rule, "resources")) errors.required(path + ".resources", "resource rules must supply at least one resource");
}

void validate_subject(const Node& subject, bool namespaced, const std::string& path, FieldErrors& errors) {
  const std::string_view kind = subject.string_at("kind"), name = subject.string_at("name"), group = subject.string_at("apiGroup");
  if (name.empty()) errors.required(path + ".name");
  if (kind == "ServiceAccount") {
    check_value(subject.find("name"), Check::dns_subdomain, {}, path + ".name", errors);
    if (!group.empty()) errors.not_supported(path + ".apiGroup", group, {""});
    if (!namespaced && !has_value(subject, "namespace")) errors.required(path + ".namespace");
  } else if (kind == "User" || kind == "Group") {
    if (group != rbac) errors.not_supported(path + ".apiGroup", group, {rbac});
  } else {
    errors.not_supported(path + ".kind", kind, {"ServiceAccount", "User", "Group"});
  }
}

}  // namespace

void validate_role(Draft& draft) {
  const bool namespaced = draft.action.resource->namespaced;
  FieldErrors& errors = draft.errors;
  each(draft.object, "rules", "", [&](const Node& rule, const std::string& here) { validate_rule(rule, namespaced, here, errors); });
  const Node* aggregation = draft.object.find("aggregationRule");
  if (!present(aggregation)) return;
  if (!has_value(*aggregation, "clusterRoleSelectors"))
    errors.required("aggregationRule.clusterRoleSelectors", "at least one clusterRoleSelector required if aggregationRule is non-nil");
  each(*aggregation, "clusterRoleSelectors", "aggregationRule",
       [&](const Node& selector, const std::string& here) { validate_label_selector(selector, here, errors); });
}

void validate_binding(Draft& draft) {
  FieldErrors& errors = draft.errors;
  const bool namespaced = draft.action.resource->namespaced;
  const std::string_view group = draft.object.string_at("roleRef", "apiGroup"), kind = draft.object.string_at("roleRef", "kind");
  if (group != rbac) errors.not_supported("roleRef.apiGroup", group, {rbac});
  if (namespaced && kind != "Role" && kind != "ClusterRole") errors.not_supported("roleRef.kind", kind, {"Role", "ClusterRole"});
  if (!namespaced && kind != "ClusterRole") errors.not_supported("roleRef.kind", kind, {"ClusterRole"});
  constexpr FieldRule rules[] = {{"roleRef.name", Check::required}, {"roleRef.name", Check::path_segment}};
  check_fields(draft.object, rules, "", errors);
  each(draft.object, "subjects", "",
       [&](const Node& subject, const std::string& here) { validate_subject(subject, namespaced, here, errors); });
  if (!draft.creating() && !same(draft.old->find("roleRef"), draft.object.find("roleRef")))
    errors.invalid("roleRef", draft.object.find("roleRef"), "cannot change roleRef");
}

// ---- certificates

namespace {

constexpr std::string_view usages[] = {
    "any",           "cert sign",         "client auth",      "code signing",  "content commitment", "crl sign",     "data encipherment",
    "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system",   "ipsec tunnel", "ipsec user",
    "key agreement", "key encipherment",  "microsoft sgc",    "netscape sgc",  "ocsp signing",       "s/mime",       "server auth",
    "signing",       "timestamping"};

const Node* condition(const Node& object, std::string_view type) {
  const Node* conditions = object.at("status", "conditions");
  if (!present(conditions)) return nullptr;
  for (const Node& c : *conditions) {
    if (c.string_at("type") == type) return &c;
  }
  return nullptr;
}

// The type of a text's first PEM block; "" when there is none.
std::string_view first_block(std::string_view pem) {
  constexpr std::string_view begin = "-----BEGIN ", end = "-----";
  const size_t at = pem.find(begin);
  if (at == std::string_view::npos) return {};
  pem.remove_prefix(at + begin.size());
  return pem.substr(0, pem.find(end));
}

void validate_conditions(const Node& object, FieldErrors& errors) {
  const Node* status = object.find("status");
  if (!present(status)) return;
  std::set<std::string, std::less<>> types;
  each(*status, "conditions", "status", [&](const Node& c, const std::string& here) {
    const std::string_view type = c.string_at("type"), value = c.string_at("status");
    const bool only_true = type == "Approved" || type == "Denied" || type == "Failed";
    if (type.empty()) errors.required(here + ".type");
    if (value.empty()) errors.required(here + ".status");
    else if (only_true && value != "True") errors.not_supported(here + ".status", value, {"True"});
    else if (!only_true) check_value(c.find("status"), Check::one_of, "False True Unknown", here + ".status", errors);
    if (!types.emplace(type).second) errors.duplicate(here + ".type", type);
  });
  if (types.contains("Approved") && types.contains("Denied"))
    errors.invalid_string("status.conditions", "Denied", "Approved and Denied conditions are mutually exclusive");
}

}  // namespace

void validate_signing_request(Draft& draft) {
  const Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  if (!draft.creating()) return;  // the spec stays as it is
  const auto decoded = base64_decode(spec.string_at("request"));
  if (!decoded || first_block(*decoded) != "CERTIFICATE REQUEST")
    errors.invalid("spec.request", spec.find("request"), "PEM block type must be CERTIFICATE REQUEST");
  else if (auto parsed = io::parse_csr(*decoded); !parsed) errors.invalid("spec.request", spec.find("request"), parsed.error().message);
  if (!has_value(spec, "usages")) errors.required("spec.usages");
  std::set<std::string, std::less<>> seen;
  each(spec, "usages", "spec", [&](const Node& usage, const std::string& here) {
    const std::string_view text = usage.as_string();
    if (std::ranges::find(usages, text) == std::end(usages)) errors.not_supported(here, text, std::span<const std::string_view>(usages));
    if (!seen.emplace(text).second) errors.duplicate(here, text);
  });
  const std::string_view signer = spec.string_at("signerName");
  if (signer == "kubernetes.io/legacy-unknown")
    errors.invalid_string("spec.signerName", signer, "the legacy signerName is not allowed via this API version");
  else if (signer.empty()) errors.required("spec.signerName");
  else
    for (const std::string& problem : check_signer_name(signer)) errors.invalid_string("spec.signerName", signer, problem);
  const auto seconds = int_at(spec, "expirationSeconds");
  if (seconds && *seconds < 600)
    errors.invalid("spec.expirationSeconds", spec.find("expirationSeconds"),
                   "may not specify a duration less than 600 seconds (10 minutes)");
}

// Times that the writer left out: a condition that is not new keeps since when it holds.
static void complete_condition_times(Draft& draft) {
  Node* conditions = draft.status().find("conditions");
  if (!present(conditions) || !conditions->is_array()) return;
  const std::string now = format_rfc3339(draft.cluster.now());
  for (Node& each : *conditions) {
    if (!each.is_object()) continue;
    if (!has_value(each, "lastUpdateTime")) draft.doc.set(each, "lastUpdateTime", now);
    if (has_value(each, "lastTransitionTime")) continue;
    const Node* before = condition(*draft.old, each.string_at("type"));
    const bool held = before && before->string_at("status") == each.string_at("status") && has_value(*before, "lastTransitionTime");
    draft.doc.set(each, "lastTransitionTime", held ? before->string_at("lastTransitionTime") : std::string_view(now));
  }
}

void validate_signing_request_status(Draft& draft) {
  complete_condition_times(draft);
  FieldErrors& errors = draft.errors;
  const bool approval = draft.action.subresource == "approval";
  validate_conditions(draft.object, errors);
  for (std::string_view type : {"Approved", "Denied", "Failed"}) {
    const Node *before = condition(*draft.old, type), *now = condition(draft.object, type);
    const std::string of = " a condition of type " + quoted(type);
    if (before && !now) errors.forbidden("status.conditions", "updates may not remove" + of);
    if (approval || type == "Failed" || !now) continue;
    if (!before) errors.forbidden("status.conditions", "updates may not add" + of);
    else if (!json::equal(*before, *now)) errors.forbidden("status.conditions", "updates may not modify" + of);
  }
  const Node *before = draft.old->at("status", "certificate"), *now = draft.object.at("status", "certificate");
  if (same(before, now)) return;
  if (approval) return errors.forbidden("status.certificate", "updates may not set certificate content");
  if (present(before)) return errors.forbidden("status.certificate", "updates may not modify existing certificate content");
  const auto decoded = base64_decode(now ? now->as_string() : std::string_view{});
  const std::string_view block = decoded ? first_block(*decoded) : std::string_view{};
  const std::string field = "status.certificate", shown = "<certificate data>";
  if (block.empty()) errors.invalid_string(field, shown, "must contain at least one CERTIFICATE PEM block");
  else if (block != "CERTIFICATE") errors.invalid_string(field, shown, "only CERTIFICATE PEM blocks are allowed, found " + quoted(block));
  else if (auto parsed = io::inspect_certificate(*decoded); !parsed) errors.invalid_string(field, shown, parsed.error().message);
}

void validate_trust_bundle(Draft& draft) {
  const Node& spec = draft.spec();
  FieldErrors& errors = draft.errors;
  const std::string_view signer = spec.string_at("signerName"), bundle = spec.string_at("trustBundle");
  if (!signer.empty()) {
    for (const std::string& problem : check_signer_name(signer)) errors.invalid_string("spec.signerName", signer, problem);
    std::string prefix(signer);
    std::ranges::replace(prefix, '/', ':');
    prefix += ':';
    if (draft.creating() && !draft.name().starts_with(prefix))
      errors.invalid_string("metadata.name", draft.name(),
                            "ClusterTrustBundle for signerName " + std::string(signer) + " must be named with prefix " + prefix);
  } else if (draft.creating() && draft.name().contains(':')) {
    errors.invalid_string("metadata.name", draft.name(), "ClusterTrustBundle without signer name must not have \":\" in its name");
  }
  if (!draft.creating()) require_unchanged(draft, "spec.signerName");
  if (!draft.creating() && draft.old->string_at("spec", "trustBundle") == bundle) return;
  if (bundle.size() > 1024 * 1024) return errors.too_long("spec.trustBundle", 1024 * 1024);
  if (!bundle.contains("-----BEGIN CERTIFICATE-----"))
    errors.invalid_string("spec.trustBundle", "<value omitted>", "at least one trust anchor must be provided");
}

}  // namespace estiba::apiserver::access
