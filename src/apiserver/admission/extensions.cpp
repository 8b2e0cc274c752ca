#include "apiserver/admission/extensions.h"

#include <map>

#include "apiserver/admission/policy.h"
#include "apiserver/admission/webhook.h"
#include "apiserver/edit.h"
#include "base/log.h"

namespace estiba::apiserver::admission {
namespace {

constexpr std::string_view prefix = "/registry/admissionregistration.k8s.io/";
constexpr std::string_view mutating_prefix = "/registry/admissionregistration.k8s.io/mutatingwebhookconfigurations/";
constexpr std::string_view validating_prefix = "/registry/admissionregistration.k8s.io/validatingwebhookconfigurations/";

constexpr std::string_view mutating_policy_prefix = "/registry/admissionregistration.k8s.io/mutatingadmissionpolicies/";
constexpr std::string_view mutating_binding_prefix = "/registry/admissionregistration.k8s.io/mutatingadmissionpolicybindings/";
constexpr std::string_view validating_policy_prefix = "/registry/admissionregistration.k8s.io/validatingadmissionpolicies/";
constexpr std::string_view validating_binding_prefix = "/registry/admissionregistration.k8s.io/validatingadmissionpolicybindings/";

using Webhooks = std::vector<std::shared_ptr<const Webhook>>;

Webhooks webhooks_of(const store::Entry& entry, bool mutating) {
  Webhooks out;
  auto doc = json::Document::parse(entry.value);
  const json::Node* list = doc ? doc->root().find("webhooks") : nullptr;
  if (present(list))
    for (const json::Node& webhook : *list) out.push_back(Webhook::parse(doc->root().string_at("metadata", "name"), webhook, mutating));
  return out;
}

// Policies and bindings of one kind.
struct Policies {
  std::map<std::string, std::shared_ptr<const Policy>> policies;  // by key
  std::map<std::string, std::shared_ptr<const Binding>> bindings;

  void remove(const std::string& key) {
    policies.erase(key);
    bindings.erase(key);
  }
  void add_to(std::vector<BoundPolicy>& out) const {
    std::map<std::string_view, std::vector<std::shared_ptr<const Binding>>> by_policy;
    for (const auto& [key, binding] : bindings) by_policy[binding->policy].push_back(binding);
    for (const auto& [key, policy] : policies)
      if (auto bound = by_policy.find(policy->name); bound != by_policy.end()) out.push_back({policy, std::move(bound->second)});
  }
};

}  // namespace

ExtensionSet::ExtensionSet() = default;
ExtensionSet::~ExtensionSet() = default;
bool ExtensionSet::empty() const {
  return mutating.empty() && validating.empty() && mutating_policies.empty() && validating_policies.empty();
}

// By key, in the order of names; what has not changed is not compiled again.
struct Extensions::Compiled {
  std::map<std::string, Webhooks> mutating, validating;
  Policies mutating_policies, validating_policies;

  void put(const store::Entry& entry) {
    if (entry.key.starts_with(mutating_prefix)) mutating[entry.key] = webhooks_of(entry, true);
    if (entry.key.starts_with(validating_prefix)) validating[entry.key] = webhooks_of(entry, false);
    auto doc = json::Document::parse(entry.value);
    if (!doc) return;
    const json::Node& root = doc->root();
    if (entry.key.starts_with(mutating_policy_prefix)) mutating_policies.policies[entry.key] = Policy::parse(root, true);
    if (entry.key.starts_with(mutating_binding_prefix)) mutating_policies.bindings[entry.key] = Binding::parse(root);
    if (entry.key.starts_with(validating_policy_prefix)) validating_policies.policies[entry.key] = Policy::parse(root, false);
    if (entry.key.starts_with(validating_binding_prefix)) validating_policies.bindings[entry.key] = Binding::parse(root);
  }
  void remove(const std::string& key) {
    mutating.erase(key);
    validating.erase(key);
    mutating_policies.remove(key);
    validating_policies.remove(key);
  }
  std::shared_ptr<const ExtensionSet> set() const {
    auto out = std::make_shared<ExtensionSet>();
    for (const auto& [key, webhooks] : mutating) out->mutating.insert(out->mutating.end(), webhooks.begin(), webhooks.end());
    for (const auto& [key, webhooks] : validating) out->validating.insert(out->validating.end(), webhooks.begin(), webhooks.end());
    mutating_policies.add_to(out->mutating_policies);
    validating_policies.add_to(out->validating_policies);
    return out->empty() ? nullptr : out;
  }
};

Extensions::Extensions(Cluster& cluster) : follower_(cluster.store(), prefix), compiled_(std::make_unique<Compiled>()) {}
Extensions::~Extensions() = default;

std::shared_ptr<const ExtensionSet> Extensions::current() {
  std::lock_guard lock(mutex_);
  bool changed = false;
  follower_.catch_up(
      [this, &changed](const std::vector<store::EntryPtr>& entries) {
        *compiled_ = {};
        for (const store::EntryPtr& entry : entries) compiled_->put(*entry);
        changed = true;
      },
      [this, &changed](const store::Event& event) {
        if (event.kind == store::Event::Kind::put) compiled_->put(*event.entry);
        else compiled_->remove(event.entry->key);
        changed = true;
      });
  if (changed) current_ = compiled_->set();
  return current_;
}

}  // namespace estiba::apiserver::admission
