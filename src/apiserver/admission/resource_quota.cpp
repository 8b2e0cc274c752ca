// ResourceQuota: what a write adds to the usage of its namespace is put into the status of each quota that sees it, by
// compare-and-write, before the object itself is written. So two writes at once never both take the last of something.
// What was charged and not used after all (the write lost a race) the quota controller gives back.
#include <algorithm>
#include <set>

#include "apiserver/admission/plugins.h"
#include "apiserver/api_errors.h"
#include "apiserver/cluster.h"
#include "apiserver/edit.h"
#include "apiserver/kept.h"
#include "base/strings.h"
#include "model/quota.h"

namespace estiba::apiserver::admission {
namespace {

using model::ResourceList;
namespace quota = model::quota;

constexpr int max_attempts = 64;

// A quota of the namespace that sees the object, and what it is to be charged.
struct Charge {
  store::EntryPtr entry;
  json::Document doc;
  std::string name;
  ResourceList hard, used, requested;
};

bool any_negative(const ResourceList& list) {
  return std::any_of(list.begin(), list.end(), [](const auto& item) { return item.second.is_negative(); });
}

std::string names_of(const ResourceList& list) {
  std::string out;
  for (const auto& [name, quantity] : list) out.append(out.empty() ? "" : ",").append(name);
  return out;
}

bool has_deadline(const json::Node& pod) { return present(pod.at("spec", "activeDeadlineSeconds")); }

// Whether a write of this kind can change what is used; `kind` as quotas name it.
bool changes_usage(const Attributes& a, std::string_view kind) {
  const std::string_view sub = a.action.subresource;
  if (a.removing() || a.ns().empty() || kind == "events" || kind == "events.events.k8s.io" || kind == "bindings") return false;
  if (a.creating()) return sub.empty();
  if (kind == "pods") return sub == "resize" || (sub.empty() && has_deadline(*a.old) != has_deadline(*a.object));
  if (kind == "services") return sub.empty();
  if (kind != "persistentvolumeclaims") return false;
  return sub.empty() ||
         (sub == "status" && (!same(a.old->at("status", "allocatedResources"), a.object->at("status", "allocatedResources")) ||
                              quota::attributes_classes(*a.old) != quota::attributes_classes(*a.object)));
}

ResourceList covered(std::string_view kind, const ResourceList& hard) {
  ResourceList out;
  for (const auto& [name, limit] : hard)
    if (quota::covers(kind, name)) out.emplace(name, limit);
  return out;
}

// What the new object uses more than the old one, where the quota saw the old one as well.
ResourceList added_usage(const Attributes& a, std::string_view kind, const json::Node& spec, const ResourceList& now) {
  ResourceList out = now;
  if (a.old && quota::in_scope(spec, kind, *a.old))
    for (const auto& [name, quantity] : quota::usage(kind, *a.old, a.cluster.now()))
      if (auto place = out.find(name); place != out.end()) place->second -= quantity;
  std::erase_if(out, [](const auto& item) { return item.second.is_zero() || item.second.is_negative(); });
  return out;
}

// The quotas that see the object. One whose status has no limits yet, because its controller has not run, limits nothing.
Result<std::vector<Charge>> interested(const Attributes& a, std::string_view kind) {
  static const Resource& resource = *model::schema::find_resource("", "v1", "resourcequotas");
  std::vector<Charge> out;
  ResourceList usage;
  for (const store::EntryPtr& entry : TRY(a.cluster.store().list(prefix_of(resource, a.ns()))).entries) {
    json::Document doc = TRY(json::Document::parse(entry->value));
    const json::Node* spec = doc.root().find("spec");
    const ResourceList hard = model::read_resources(doc.root().at("status", "hard"));
    const ResourceList limited = covered(kind, hard);
    if (!spec || limited.empty() || !quota::in_scope(*spec, kind, *a.object)) continue;
    const std::string name(doc.root().string_at("metadata", "name"));
    if (const std::string lacking = quota::missing(kind, *a.object, limited); !lacking.empty())
      return a.forbidden("failed quota: " + name + ": " + lacking);
    ResourceList used = model::read_resources(doc.root().at("status", "used"));
    if (masked(used, limited).size() != limited.size())
      return a.forbidden("status unknown for quota: " + name + ", resources: " + names_of(limited));
    if (usage.empty()) usage = quota::usage(kind, *a.object, a.cluster.now());
    ResourceList requested = masked(added_usage(a, kind, *spec, usage), hard);
    out.push_back({entry, std::move(doc), name, hard, std::move(used), std::move(requested)});
  }
  if (any_negative(usage)) {
    std::erase_if(usage, [](const auto& item) { return !item.second.is_negative(); });
    return a.forbidden("quota usage is negative for resource(s): " + names_of(usage));
  }
  return out;
}

// Puts the new usage into the quota's document, or says what it would exceed.
Result<void> add_charge(const Attributes& a, Charge& charge) {
  add_resources(charge.used, charge.requested);
  ResourceList exceeded;
  for (const auto& [name, quantity] : charge.requested)
    if (charge.used[name] > charge.hard[name]) exceeded.emplace(name, quantity);
  if (!exceeded.empty() && a.action.subresource != "status") {
    const ResourceList before = masked(model::read_resources(charge.doc.root().at("status", "used")), exceeded);
    return a.forbidden("exceeded quota: " + charge.name + ", requested: " + print_resources(exceeded) +
                       ", used: " + print_resources(before) + ", limited: " + print_resources(masked(charge.hard, exceeded)));
  }
  json::Node& status = charge.doc.ensure_object(charge.doc.root(), "status");
  charge.doc.set(status, "used", write_resources(charge.doc, charge.used));
  return {};
}

Task<Result<void>> write_charge(store::Store& store, const Charge& charge) {
  static const Resource& resource = *model::schema::find_resource("", "v1", "resourcequotas");
  auto facts = CO_TRY(make_kept(charge.doc.root(), strategy_of(resource)));
  store::Write write{
      .key = charge.entry->key, .value = facts->object->shared_json(), .expect = charge.entry->mod_revision, .attachment = facts};
  CO_TRY(co_await store.commit(std::move(write)));
  co_return {};
}

// Whether the write is bound to fail because the object is there already: then nothing is charged.
bool exists(const Attributes& a) {
  return a.creating() && a.cluster.store().get(key_of(*a.action.resource, a.ns(), a.object->string_at("metadata", "name")));
}

}  // namespace

Task<Result<void>> charge_quotas(Attributes& attributes) {
  const std::string kind = qualified(*attributes.action.resource);
  if (!changes_usage(attributes, kind)) co_return {};
  std::set<std::string> charged;
  for (int attempt = 1; attempt <= max_attempts; attempt++) {
    auto charges = CO_TRY(interested(attributes, kind));
    std::erase_if(charges, [&](const Charge& charge) { return charge.requested.empty() || charged.contains(charge.name); });
    if (charges.empty()) co_return {};
    for (Charge& charge : charges) CO_TRY(add_charge(attributes, charge));
    if (attributes.dry_run || exists(attributes)) co_return {};
    bool all = true;
    for (const Charge& charge : charges) {
      auto written = co_await write_charge(attributes.cluster.store(), charge);
      if (written) charged.insert(charge.name);
      else if (written.error().code == Code::conflict || written.error().code == Code::not_found)
        all = false;  // changed or gone: look again
      else co_return std::unexpected(std::move(written.error()).context("charge quota " + charge.name));
    }
    if (all) co_return {};
  }
  co_return conflict(*attributes.action.resource, attributes.name(), "the quotas of the namespace change too often; please try again");
}

}  // namespace estiba::apiserver::admission
