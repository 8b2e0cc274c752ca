// Certificate requests of nodes that Kubernetes approves by itself: for a kubelet's client certificate, when whoever asks may
// "create" certificatesigningrequests/selfnodeclient (for its own name) or /nodeclient (for any node's).
#include "base/time.h"
#include "client/json_writer.h"
#include "controllers/certificate_requests.h"
#include "controllers/framework.h"
#include "controllers/table.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::certificates_v1::CertificateSigningRequest;

namespace {

constexpr client::Resource access_reviews{"authorization.k8s.io", "v1", "subjectaccessreviews"};

struct Permission {
  std::string_view subresource, message;
  bool own_name;  // the requester asks for a certificate of its own name
};
constexpr Permission permissions[] = {
    {"selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview.", true},
    {"nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.", false},
};

class CertificateApprover final : public Controller {
 public:
  explicit CertificateApprover(Context& context)
      : Controller(context, "certificate-controller", {.workers = 4, .first_pause = std::chrono::milliseconds(200)}),
        requests_(watch(certificate_requests)) {}

 private:
  Task<Result<void>> reconcile(std::string name) override {
    const ObjectRef request = requests_.get(name);
    const CertificateAuthority* authority = context_.options.authority;
    if (!request || !authority) co_return {};
    const auto& typed = request.as<CertificateSigningRequest>();
    if (typed.spec.signerName != kubelet_client_signer || !typed.status.certificate.empty()) co_return {};
    if (find_condition(typed, "Approved") || find_condition(typed, "Denied")) co_return {};
    const RequestedSubject subject = CO_TRY_AS("unable to parse csr " + name, authority->read(typed.spec.request));
    if (!check_kubelet_client(subject, typed.spec.usages)) co_return {};
    std::string tried;
    for (const Permission& permission : permissions) {
      if (permission.own_name && typed.spec.username != subject.common_name) continue;
      tried += (tried.empty() ? "" : " ") + std::string(permission.subresource);
      if (!CO_TRY_AS("review access for csr " + name, co_await may(request, permission.subresource))) continue;
      co_return co_await approve(request, permission.message);
    }
    // Asked again, more and more seldom: the permission may come later.
    co_return fail(Code::forbidden, "recognized csr " + name + " as [" + tried + "] but subject access review was not approved");
  }

  Task<Result<bool>> may(ObjectRef request, std::string_view subresource) {
    const auto& spec = request.as<CertificateSigningRequest>().spec;
    client::JsonWriter json;
    json.object().field("apiVersion", "authorization.k8s.io/v1").field("kind", "SubjectAccessReview").object("spec");
    json.field("user", spec.username).optional("uid", spec.uid).array("groups");
    for (const std::string& group : spec.groups) json.value(group);
    json.end().object("extra");
    for (const auto& [key, values] : spec.extra) {
      json.array(key);
      for (const std::string& value : values) json.value(value);
      json.end();
    }
    json.end().object("resourceAttributes").field("group", certificate_requests.group).field("resource", certificate_requests.name);
    json.field("subresource", subresource).field("verb", "create").field("version", "*").end().end().end();
    const ObjectRef review = CO_TRY(co_await client_.create(access_reviews, "", json.take()));
    const json::Document answer = CO_TRY(json::Document::parse(review.object->json()));
    const json::Node* allowed = answer.root().at("status", "allowed");
    co_return allowed && allowed->as_bool();
  }

  Task<Result<void>> approve(ObjectRef request, std::string_view message) {
    std::string patch = with_condition(request, "Approved", "AutoApproved", message, format_rfc3339(wall_now()));
    auto written = co_await client_.patch(certificate_requests, "", request.meta().name, client::PatchType::merge, std::move(patch),
                                          {.subresource = "approval"});
    if (written) requests_.observe(*written);
    else if (written.error().code != Code::not_found)
      co_return std::unexpected(std::move(written.error()).context("approve csr " + request.meta().name));
    co_return {};
  }

  client::Informer& requests_;
};

}  // namespace

std::unique_ptr<Controller> make_certificate_approver(Context& context) { return std::make_unique<CertificateApprover>(context); }

}  // namespace estiba::controllers
