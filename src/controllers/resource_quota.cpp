// Quotas' status: the limits that hold and what is used of them. Admission (apiserver/admission/resource_quota.cpp) adds
// what is made; this controller counts anew when limits change, soon after that, when something goes, and from time to time.
//
// It counts by lists made for the purpose, after it has read the quota, and writes only if nobody has charged the quota
// meanwhile.
#include <algorithm>
#include <set>

#include "controllers/framework.h"
#include "controllers/kinds.h"
#include "controllers/pod_facts.h"
#include "controllers/table.h"
#include "model/quota.h"

namespace estiba::controllers {

using client::Informer;
using model::ObjectRef;
using model::ResourceList;
using namespace std::chrono_literals;
namespace quota = model::quota;

namespace {

constexpr client::Resource resource_quotas{"", "v1", "resourcequotas"};
constexpr Duration resync = 5min;
constexpr Duration under_way = 3s;  ///< longer than a write takes that was admitted before the limits held

bool same_member(const json::Node& a, const json::Node& b, std::string_view key) {
  const json::Node *x = a.find(key), *y = b.find(key);
  return x && y ? json::equal(*x, *y) : x == y;
}

bool spec_differs(const ObjectRef& before, const ObjectRef& after) {
  const auto old = json::Document::parse(before.object->json()), now = json::Document::parse(after.object->json());
  return !old || !now || !same_member(old->root(), now->root(), "spec");
}

// Whether the object may use less than before. Pods change often: their facts are looked at, not their texts.
bool frees(std::string_view kind, const ObjectRef& before, const ObjectRef& after, WallTime now) {
  if (!after) return true;
  if (kind == "pods") {
    const auto &old = before.as<model::core_v1::Pod>(), &fresh = after.as<model::core_v1::Pod>();
    return is_finished(old) != is_finished(fresh) ||
           old.spec.activeDeadlineSeconds.has_value() != fresh.spec.activeDeadlineSeconds.has_value();
  }
  if (kind != "services" && kind != "persistentvolumeclaims") return false;
  const auto old = json::Document::parse(before.object->json()), fresh = json::Document::parse(after.object->json());
  if (!old || !fresh) return false;
  return quota::usage(kind, old->root(), now) != quota::usage(kind, fresh->root(), now) ||
         (kind == "persistentvolumeclaims" && quota::attributes_classes(old->root()) != quota::attributes_classes(fresh->root()));
}

class ResourceQuotaController final : public Controller {
 public:
  explicit ResourceQuotaController(Context& context)
      : Controller(context, "resourcequota-controller", {.workers = 4}), quotas_(informer(resource_quotas)) {
    by_namespace_ = quotas_.namespace_index();
    for (const ResourceKind& kind : context.options.kinds.empty() ? stored_kinds() : context.options.kinds) {
      if (!kind.namespaced) continue;
      std::string name(kind.resource.name);
      if (!kind.resource.group.empty()) name.append(".").append(kind.resource.group);
      kinds_.emplace(std::move(name), kind.resource);
    }
    quotas_.on_change([this](const ObjectRef& before, const ObjectRef& after) {
      if (after && (!before || spec_differs(before, after))) enqueue(after);
    });
  }

 private:
  Task<Result<void>> reconcile(std::string key) override {
    const auto [ns, name] = client::split_key(key);
    auto found = co_await client_.get(resource_quotas, ns, name);
    if (!found) {
      if (found.error().code == Code::not_found) co_return {};
      co_return std::unexpected(std::move(found.error().context("count for quota " + key)));
    }
    json::Document doc = CO_TRY(json::Document::parse(found->object->json()));
    const ResourceList hard = model::read_resources(doc.root().at("spec", "hard"));
    const bool fresh = model::read_resources(doc.root().at("status", "hard")) != hard;
    enqueue_after(key, fresh ? under_way : resync);
    const ResourceList used = CO_TRY(co_await count(ns, doc.root(), hard));
    if (!fresh && model::read_resources(doc.root().at("status", "used")) == used) co_return {};
    doc.set(doc.ensure_object(doc.root(), "metadata"), "resourceVersion", found->resource_version());
    json::Node& status = doc.make_object();
    doc.set(status, "hard", write_resources(doc, hard));
    doc.set(status, "used", write_resources(doc, used));
    doc.set(doc.root(), "status", status);
    auto written = co_await client_.update(resource_quotas, ns, name, json::print(doc.root()), {.subresource = "status"});
    if (written) quotas_.observe(*written);
    else if (written.error().code != Code::not_found)
      co_return std::unexpected(std::move(written.error().context("write status of quota " + key)));
    co_return {};
  }

  // What the objects of the namespace use of each limited resource. Of kinds that nothing here serves the last count stays.
  Task<Result<ResourceList>> count(const std::string& ns, const json::Node& object, const ResourceList& hard) {
    const json::Node* spec = object.find("spec");
    ResourceList used;
    for (const auto& [name, limit] : hard) used[name];
    if (!spec) co_return used;
    const ResourceList before = model::read_resources(object.at("status", "used"));
    for (const std::string& kind : quota::kinds_counted(hard)) {
      const auto known = kinds_.find(kind);
      if (known == kinds_.end()) {
        for (const auto& [name, quantity] : before)
          if (hard.contains(name) && quota::covers(kind, name)) used[name] = quantity;
        continue;
      }
      listen(known->first, known->second);
      const auto list = CO_TRY(co_await client_.list(known->second, ns));
      for (const ObjectRef& each : list.items) {
        const auto parsed = CO_TRY(json::Document::parse(each.object->json()));
        if (!quota::in_scope(*spec, kind, parsed.root())) continue;
        add_resources(used, masked(quota::usage(kind, parsed.root(), wall_now()), hard));
      }
    }
    co_return used;
  }

  // From now on the quotas of a namespace are counted anew when an object of this kind goes.
  void listen(const std::string& kind, client::Resource resource) {
    if (!heard_.insert(kind).second) return;
    const std::string_view name = *heard_.find(kind);
    context_.informers.of(resource).on_change([this, name](const ObjectRef& before, const ObjectRef& after) {
      if (!before) return;
      const std::string& ns = before.meta().ns;
      if (quotas_.count(by_namespace_, ns) == 0 || !frees(name, before, after, wall_now())) return;
      quotas_.each(by_namespace_, ns, [this](const ObjectRef& each) { enqueue(each); });
    });
  }

  Informer& quotas_;
  Informer::Index by_namespace_;
  std::map<std::string, client::Resource> kinds_;
  std::set<std::string> heard_;
};

}  // namespace

std::unique_ptr<Controller> make_resource_quota_controller(Context& context) { return std::make_unique<ResourceQuotaController>(context); }

}  // namespace estiba::controllers
