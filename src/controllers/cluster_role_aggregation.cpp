// ClusterRoles with an aggregationRule: their rules are those of all ClusterRoles that its selectors match, so that a custom
// kind can bring its own permissions into "admin", "edit" and "view".
#include <algorithm>

#include "client/json_writer.h"
#include "client/selectors.h"
#include "controllers/canonical_json.h"
#include "controllers/framework.h"
#include "controllers/table.h"
#include "model/types/rbac_v1.h"

namespace estiba::controllers {

using model::ObjectRef;
using model::rbac_v1::ClusterRole;

namespace {

constexpr client::Resource cluster_roles{"rbac.authorization.k8s.io", "v1", "clusterroles"};

class ClusterRoleAggregation final : public Controller {
 public:
  explicit ClusterRoleAggregation(Context& context)
      : Controller(context, "clusterrole-aggregation-controller", {.workers = 1}), roles_(informer(cluster_roles)) {
    // Any role may be one that others gather.
    roles_.on_change([this](const ObjectRef&, const ObjectRef&) {
      roles_.each([&](const ObjectRef& role) {
        if (role.as<ClusterRole>().aggregationRule) enqueue(role);
      });
    });
  }

 private:
  Task<Result<void>> reconcile(std::string name) override {
    const ObjectRef role = roles_.get(name);
    if (!role || !role.as<ClusterRole>().aggregationRule || !role.meta().deletion_timestamp.empty()) co_return {};
    const std::vector<std::string> rules = CO_TRY(gather(role));
    if (rules == CO_TRY(rules_of(role))) co_return {};
    client::JsonWriter json;
    json.object().object("metadata").field("resourceVersion", role.resource_version()).end().array("rules");
    for (const std::string& rule : rules) json.raw_value(rule);
    json.end().end();
    auto written = co_await client_.patch(cluster_roles, "", name, client::PatchType::merge, json.take());
    if (written) roles_.observe(*written);
    else if (written.error().code != Code::not_found)
      co_return std::unexpected(std::move(written.error()).context("gather the rules of cluster role " + name));
    co_return {};
  }

  static Result<std::vector<std::string>> rules_of(const ObjectRef& role) {
    const json::Document parsed = TRY(json::Document::parse(role.object->json()));
    std::vector<std::string> rules;
    if (const json::Node* list = parsed.root().find("rules"); list && list->is_array())
      for (const json::Node& rule : *list) rules.push_back(canonical_json(rule));
    return rules;
  }

  /// Selector by selector, the roles of each by name; a rule that several have is taken once.
  Result<std::vector<std::string>> gather(const ObjectRef& role) const {
    std::vector<std::string> rules;
    for (const auto& selector : role.as<ClusterRole>().aggregationRule->clusterRoleSelectors) {
      std::vector<ObjectRef> found;
      roles_.each([&](const ObjectRef& other) {
        if (other.meta().name != role.meta().name && client::matches(selector, other.meta().labels)) found.push_back(other);
      });
      std::sort(found.begin(), found.end(), [](const ObjectRef& a, const ObjectRef& b) { return a.meta().name < b.meta().name; });
      for (const ObjectRef& other : found)
        for (std::string& rule : TRY(rules_of(other)))
          if (std::find(rules.begin(), rules.end(), rule) == rules.end()) rules.push_back(std::move(rule));
    }
    return rules;
  }

  client::Informer& roles_;
};

}  // namespace

std::unique_ptr<Controller> make_cluster_role_aggregation(Context& context) { return std::make_unique<ClusterRoleAggregation>(context); }

}  // namespace estiba::controllers
