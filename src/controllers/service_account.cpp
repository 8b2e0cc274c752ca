// The ServiceAccount `default` in every namespace.
#include "client/json_writer.h"
#include "controllers/framework.h"
#include "controllers/table.h"

namespace estiba::controllers {

using model::ObjectRef;

namespace {

constexpr std::string_view account = "default";

class ServiceAccountController final : public Controller {
 public:
  explicit ServiceAccountController(Context& context)
      : Controller(context, "serviceaccount-controller", {.workers = 8}), namespaces_(watch(client::namespaces)), accounts_(informer(client::service_accounts)) {
    accounts_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (!after && before.meta().name == account) enqueue(before.meta().ns);
    });
  }

 private:
  Task<Result<void>> reconcile(std::string ns) override {
    const ObjectRef object = namespaces_.get(ns);
    if (!object || !object.meta().deletion_timestamp.empty() || accounts_.get(ns, account)) co_return {};
    client::JsonWriter json;
    json.object().field("apiVersion", "v1").field("kind", "ServiceAccount").object("metadata").field("name", account).field("namespace", ns).end().end();
    auto made = co_await client_.create(client::service_accounts, ns, json.take());
    if (made) accounts_.observe(*made);
    else if (made.error().code != Code::already_exists && made.error().code != Code::not_found)
      co_return std::unexpected(std::move(made.error().context("create service account " + ns + "/default")));
    co_return {};
  }

  client::Informer& namespaces_;
  client::Informer& accounts_;
};

}  // namespace

std::unique_ptr<Controller> make_service_account_controller(Context& context) { return std::make_unique<ServiceAccountController>(context); }

}  // namespace estiba::controllers
