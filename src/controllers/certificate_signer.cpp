// Approved certificate requests of Kubernetes' own signers are signed by the cluster's CA. What a signer must not sign is marked
// Failed, for good.
#include <algorithm>

#include "base/strings.h"
#include "base/time.h"
#include "controllers/certificate_requests.h"
#include "controllers/framework.h"
#include "controllers/table.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::certificates_v1::CertificateSigningRequest;
using namespace std::chrono_literals;

namespace {

constexpr Duration shortest = 10min;  // whatever spec.expirationSeconds says
constexpr Duration backdate = 5min;   // clocks differ
constexpr Duration brief = 8h;        // certificates shorter than this are not cut by what they are backdated

struct Signer {
  std::string_view name;
  Result<void> (*check)(const RequestedSubject& subject, const std::vector<std::string>& usages);  // null: anything goes
};
constexpr Signer signers[] = {
    {apiserver_client_signer, check_apiserver_client},
    {kubelet_client_signer, check_kubelet_client},
    {kubelet_serving_signer, check_kubelet_serving},
    {legacy_unknown_signer, nullptr},
};

// `longest` is kube-controller-manager's --cluster-signing-duration.
Duration lifetime_of(const CertificateSigningRequest& request, Duration longest) {
  if (!request.spec.expirationSeconds) return longest;
  return std::min(longest, std::max<Duration>(std::chrono::seconds(*request.spec.expirationSeconds), shortest));
}

class CertificateSigner final : public Controller {
 public:
  explicit CertificateSigner(Context& context)
      : Controller(context, "certificate-controller", {.workers = 4, .first_pause = 200ms}), requests_(watch(certificate_requests)) {}

 private:
  Task<Result<void>> reconcile(std::string name) override {
    const ObjectRef request = requests_.get(name);
    const CertificateAuthority* authority = context_.options.authority;
    if (!request || !authority) co_return {};
    const auto& typed = request.as<CertificateSigningRequest>();
    const auto* failed = find_condition(typed, "Failed");
    if (!typed.status.certificate.empty() || !find_condition(typed, "Approved") || find_condition(typed, "Denied")) co_return {};
    if (failed && failed->status == "True") co_return {};
    const auto signer =
        std::find_if(std::begin(signers), std::end(signers), [&](const Signer& s) { return s.name == typed.spec.signerName; });
    if (signer == std::end(signers)) co_return {};
    const RequestedSubject subject = CO_TRY_AS("unable to parse csr " + name, authority->read(typed.spec.request));
    if (auto good = signer->check ? signer->check(subject, typed.spec.usages) : Result<void>{}; !good)
      co_return co_await patch_status(
          requests_, request,
          with_condition(request, "Failed", "SignerValidationFailure", good.error().message, format_rfc3339(wall_now())));
    const WallTime now = wall_now();
    const Duration lifetime = lifetime_of(typed, context_.options.signing_duration);
    const Issuance issuance{typed.spec.usages, now - backdate, now + lifetime - (lifetime < brief ? Duration{} : backdate)};
    const std::string certificate = CO_TRY_AS("error auto signing csr " + name, authority->sign(typed.spec.request, issuance, now));
    client::JsonWriter json;
    json.object().object("metadata").field("resourceVersion", request.resource_version()).end();
    json.object("status").field("certificate", base64_encode(certificate)).end().end();
    co_return co_await patch_status(requests_, request, json.take());
  }

  client::Informer& requests_;
};

}  // namespace

std::unique_ptr<Controller> make_certificate_signer(Context& context) { return std::make_unique<CertificateSigner>(context); }

}  // namespace estiba::controllers
