// Requests for pods' certificates are deleted a quarter of an hour after they were made, whatever has come of them: nobody waits longer for
// one, and what was issued is in the pod's volume (pkg/controller/certificates/cleaner/pcrcleaner.go).
#include "base/strings.h"
#include "controllers/framework.h"
#include "controllers/pod_facts.h"
#include "controllers/table.h"

namespace estiba::controllers {

using model::ObjectRef;
using namespace std::chrono_literals;

namespace {

constexpr client::Resource requests{"certificates.k8s.io", "v1beta1", "podcertificaterequests"};
constexpr Duration kept_for = 15min;

class PodCertificateCleaner final : public Controller {
 public:
  explicit PodCertificateCleaner(Context& context)
      : Controller(context, "podcertificaterequestcleaner", {.workers = 1}), requests_(watch(requests)) {}

 private:
  Task<Result<void>> reconcile(std::string key) override {
    const ObjectRef request = requests_.get(key);
    if (!request) co_return {};
    if (const Duration left = time_or_epoch(request.meta().creation_timestamp) + kept_for - wall_now(); left > Duration{}) {
      enqueue_after(key, left);
      co_return {};
    }
    auto removed = co_await client_.remove(requests, request.meta().ns, request.meta().name, {.uid = request.meta().uid});
    if (!removed && removed.error().code != Code::not_found && removed.error().code != Code::conflict)
      co_return std::unexpected(std::move(removed.error()).context("unable to delete PodCertificateRequest " + quoted(key)));
    co_return {};
  }

  client::Informer& requests_;
};

}  // namespace

std::unique_ptr<Controller> make_pod_certificate_cleaner(Context& context) { return std::make_unique<PodCertificateCleaner>(context); }

}  // namespace estiba::controllers
