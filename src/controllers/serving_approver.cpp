// Certificate requests of nodes for their own API (kubernetes.io/kubelet-serving). Kubernetes leaves them to somebody else; here a node
// gets what it asks for itself, under its own name and addresses that are nobody else's: with the address of the API server or of
// another node it could pass for that one.
#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/time.h"
#include "controllers/certificate_requests.h"
#include "controllers/framework.h"
#include "controllers/table.h"
#include "model/types/core_v1.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::certificates_v1::CertificateSigningRequest;

namespace {

constexpr std::string_view node_prefix = "system:node:";

class ServingApprover final : public Controller {
 public:
  explicit ServingApprover(Context& context)
      : Controller(context, "certificate-controller", {.workers = 1, .first_pause = std::chrono::milliseconds(200)}),
        requests_(watch(certificate_requests)),
        nodes_(informer(client::nodes)),
        services_(informer(client::services)),
        endpoints_(informer(client::endpoints)) {}

 private:
  Task<Result<void>> reconcile(std::string name) override {
    const ObjectRef request = requests_.get(name);
    const CertificateAuthority* authority = context_.options.authority;
    if (!request || !authority) co_return {};
    const auto& typed = request.as<CertificateSigningRequest>();
    if (typed.spec.signerName != kubelet_serving_signer || !typed.status.certificate.empty()) co_return {};
    if (find_condition(typed, "Approved") || find_condition(typed, "Denied")) co_return {};
    const RequestedSubject subject = CO_TRY_AS("unable to parse csr " + name, authority->read(typed.spec.request));
    if (!check_kubelet_serving(subject, typed.spec.usages)) co_return {};
    if (auto good = check(typed, subject); !good) {
      // Somebody may still approve it by hand.
      log::warn("certificate-controller", "a node's request is not approved", {{"request", name}, {"reason", good.error()}});
      co_return {};
    }
    std::string patch =
        with_condition(request, "Approved", "AutoApproved", "The node asks for its own name and addresses.", format_rfc3339(wall_now()));
    auto written =
        co_await client_.patch(certificate_requests, "", name, client::PatchType::merge, std::move(patch), {.subresource = "approval"});
    if (written) requests_.observe(*written);
    else if (written.error().code != Code::not_found) co_return std::unexpected(std::move(written.error()).context("approve csr " + name));
    co_return {};
  }

  Result<void> check(const CertificateSigningRequest& request, const RequestedSubject& subject) const {
    const auto& groups = request.spec.groups;
    if (request.spec.username != subject.common_name || std::find(groups.begin(), groups.end(), "system:nodes") == groups.end())
      return fail(Code::forbidden, request.spec.username + " asks for a certificate of " + subject.common_name);
    const std::string node = subject.common_name.substr(node_prefix.size());
    for (const std::string& dns : subject.dns_names)
      if (dns != node) return fail(Code::forbidden, "the name " + dns + " is not the node's");
    const std::set<std::string> others = addresses_of_others(node);
    for (const std::string& address : subject.ip_addresses)
      if (others.contains(address))
        return fail(Code::forbidden, "the address " + address + " belongs to another node or to the API server");
    // Names that the API server answers by.
    if (node == "localhost" || node == "kubernetes" || node.starts_with("kubernetes."))
      return fail(Code::forbidden, "a node named " + node + " could pass for the API server");
    return {};
  }

  std::set<std::string> addresses_of_others(const std::string& node) const {
    std::set<std::string> out{"127.0.0.1", "::1"};
    nodes_.each([&](const ObjectRef& other) {
      if (other.meta().name == node) return;
      for (const auto& address : other.as<model::core_v1::Node>().status.addresses) out.insert(address.address);
    });
    services_.each([&](const ObjectRef& service) {
      for (const std::string& address : service.as<model::core_v1::Service>().spec.clusterIPs) out.insert(address);
    });
    // A node beside the API server has its address; its certificate is made by the server itself.
    if (const ObjectRef servers = endpoints_.get("default", "kubernetes"))
      for (const auto& subset : servers.as<model::core_v1::Endpoints>().subsets)
        for (const auto& address : subset.addresses) out.insert(address.ip);
    return out;
  }

  client::Informer& requests_;
  client::Informer& nodes_;
  client::Informer& services_;
  client::Informer& endpoints_;
};

}  // namespace

std::unique_ptr<Controller> make_serving_approver(Context& context) { return std::make_unique<ServingApprover>(context); }

}  // namespace estiba::controllers
