// CertificateSigningRequests: the rules of Kubernetes' own signers, and what their controllers ask of a request.
#pragma once
#include "client/client.h"
#include "client/json_writer.h"
#include "controllers/certificate_authority.h"
#include "model/types/certificates_v1.h"

namespace estiba::controllers {

inline constexpr client::Resource certificate_requests{"certificates.k8s.io", "v1", "certificatesigningrequests"};

inline constexpr std::string_view apiserver_client_signer = "kubernetes.io/kube-apiserver-client";
inline constexpr std::string_view kubelet_client_signer = "kubernetes.io/kube-apiserver-client-kubelet";
inline constexpr std::string_view kubelet_serving_signer = "kubernetes.io/kubelet-serving";
inline constexpr std::string_view legacy_unknown_signer = "kubernetes.io/legacy-unknown";

/// The condition when it is there, whatever its status.
const model::certificates_v1::CertificateSigningRequestCondition* find_condition(
    const model::certificates_v1::CertificateSigningRequest& request, std::string_view type);

/// Whether the certificate may be as the request asks. Errors are worded as Kubernetes words them.
Result<void> check_kubelet_client(const RequestedSubject& subject, const std::vector<std::string>& usages);
Result<void> check_kubelet_serving(const RequestedSubject& subject, const std::vector<std::string>& usages);
Result<void> check_apiserver_client(const RequestedSubject& subject, const std::vector<std::string>& usages);

/// The body of a merge patch that adds a condition with status True to those that are there, unless the request has changed.
std::string with_condition(const model::ObjectRef& request, std::string_view type, std::string_view reason, std::string_view message,
                           std::string_view now);

}  // namespace estiba::controllers
