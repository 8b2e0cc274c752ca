// Certificate requests that are over are deleted: an hour after they were answered, a day after nothing came of them, or when
// what was issued has expired.
#include <algorithm>
#include <optional>

#include "controllers/certificate_requests.h"
#include "controllers/framework.h"
#include "controllers/pod_facts.h"
#include "controllers/table.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::certificates_v1::CertificateSigningRequest;
using namespace std::chrono_literals;

namespace {

constexpr Duration answered_for = 1h;  // approved and issued, denied or failed
constexpr Duration pending_for = 24h;  // neither approved nor denied, or approved and never issued

class CertificateCleaner final : public Controller {
 public:
  explicit CertificateCleaner(Context& context)
      : Controller(context, "csrcleaner", {.workers = 1}), requests_(watch(certificate_requests)) {}

 private:
  Task<Result<void>> reconcile(std::string name) override {
    const ObjectRef request = requests_.get(name);
    const std::optional<WallTime> end = request ? end_of(request) : std::nullopt;
    if (!end) co_return {};
    // Kubernetes asks for more than the time, in whole seconds.
    if (const Duration left = *end + 1s - wall_now(); left > Duration{}) {
      enqueue_after(name, left);
      co_return {};
    }
    auto removed = co_await client_.remove(certificate_requests, "", name, {.uid = request.meta().uid});
    if (!removed && removed.error().code != Code::not_found && removed.error().code != Code::conflict)
      co_return std::unexpected(std::move(removed.error()).context("unable to delete CSR " + name));
    co_return {};
  }

  /// The earliest of what ends it.
  std::optional<WallTime> end_of(const ObjectRef& request) const {
    const auto& typed = request.as<CertificateSigningRequest>();
    const std::string& certificate = typed.status.certificate;
    std::optional<WallTime> end;
    const auto take = [&end](WallTime time) { end = end ? std::min(*end, time) : time; };
    if (typed.status.conditions.empty()) take(time_or_epoch(request.meta().creation_timestamp) + pending_for);
    for (const auto& condition : typed.status.conditions) {
      const bool approved = condition.type == "Approved";
      if (approved && !certificate.empty() && context_.options.authority)
        if (auto expires = context_.options.authority->end_of(certificate)) take(*expires);
      if (condition.lastUpdateTime.empty()) continue;
      const WallTime since = time_or_epoch(condition.lastUpdateTime);
      if (approved) take(since + (certificate.empty() ? pending_for : answered_for));
      else if (condition.type == "Denied" || condition.type == "Failed") take(since + answered_for);
    }
    return end;
  }

  client::Informer& requests_;
};

}  // namespace

std::unique_ptr<Controller> make_certificate_cleaner(Context& context) { return std::make_unique<CertificateCleaner>(context); }

}  // namespace estiba::controllers
