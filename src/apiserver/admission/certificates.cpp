// CertificateApproval, CertificateSigning and CertificateSubjectRestriction: who may say yes to a certificate, who may put it
// there, and which subjects nobody gets. (Kubernetes: plugin/pkg/admission/certificates.)
#include "apiserver/admission/plugins.h"
#include "apiserver/edit.h"
#include "apiserver/signers.h"
#include "base/strings.h"
#include "io/pki.h"

namespace estiba::apiserver::admission {
namespace {

constexpr std::string_view group = "certificates.k8s.io", requests = "certificatesigningrequests";
constexpr std::string_view client_signer = "kubernetes.io/kube-apiserver-client";

bool may(const Attributes& attributes, std::string_view verb, std::string_view signer) {
  return may_act_for_signer(attributes.cluster, attributes.action.user, verb, signer);
}

}  // namespace

Result<void> check_certificate_approval(Attributes& attributes) {
  if (!attributes.is_any(group, requests) || attributes.action.subresource != "approval" || !attributes.updating()) return {};
  const std::string_view signer = attributes.old->string_at("spec", "signerName");
  if (may(attributes, "approve", signer)) return {};
  return attributes.forbidden("user not permitted to approve requests with signerName " + quoted(signer));
}

Result<void> check_certificate_signing(Attributes& attributes) {
  if (!attributes.is_any(group, requests) || attributes.action.subresource != "status" || !attributes.updating()) return {};
  const auto unchanged = [&](std::string_view key) {
    return same(attributes.old->at("status", key), attributes.object->at("status", key));
  };
  if (unchanged("certificate") && unchanged("conditions")) return {};
  const std::string_view signer = attributes.old->string_at("spec", "signerName");
  if (may(attributes, "sign", signer)) return {};
  return attributes.forbidden("user not permitted to sign requests with signerName " + quoted(signer));
}

Result<void> check_certificate_subject(Attributes& attributes) {
  if (!attributes.is(group, requests) || !attributes.creating()) return {};
  if (attributes.object->string_at("spec", "signerName") != client_signer) return {};
  auto pem = base64_decode(attributes.object->string_at("spec", "request"));
  auto request = pem ? io::parse_csr(*pem) : std::unexpected(pem.error());
  if (!request) return attributes.forbidden("failed to parse CSR: " + request.error().message);
  for (const std::string& organization : request->organizations)
    if (organization == "system:masters")
      return attributes.forbidden("use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed");
  return {};
}

}  // namespace estiba::apiserver::admission
