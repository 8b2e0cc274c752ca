#include "apiserver/admission/extensions.h"

#include <map>

#include "apiserver/admission/webhook.h"
#include "apiserver/edit.h"
#include "base/log.h"

namespace estiba::apiserver::admission {
namespace {

constexpr std::string_view prefix = "/registry/admissionregistration.k8s.io/";
constexpr std::string_view mutating_prefix = "/registry/admissionregistration.k8s.io/mutatingwebhookconfigurations/";
constexpr std::string_view validating_prefix = "/registry/admissionregistration.k8s.io/validatingwebhookconfigurations/";

using Webhooks = std::vector<std::shared_ptr<const Webhook>>;

Webhooks webhooks_of(const store::Entry& entry, bool mutating) {
  Webhooks out;
  auto doc = json::Document::parse(entry.value);
  const json::Node* list = doc ? doc->root().find("webhooks") : nullptr;
  if (present(list))
    for (const json::Node& webhook : *list) out.push_back(Webhook::parse(doc->root().string_at("metadata", "name"), webhook, mutating));
  return out;
}

}  // namespace

// By key, in the order of names; what has not changed is not compiled again.
struct Extensions::Compiled {
  std::map<std::string, Webhooks> mutating, validating;

  void put(const store::Entry& entry) {
    if (entry.key.starts_with(mutating_prefix)) mutating[entry.key] = webhooks_of(entry, true);
    if (entry.key.starts_with(validating_prefix)) validating[entry.key] = webhooks_of(entry, false);
  }
  void remove(const std::string& key) {
    mutating.erase(key);
    validating.erase(key);
  }
  std::shared_ptr<const ExtensionSet> set() const {
    auto out = std::make_shared<ExtensionSet>();
    for (const auto& [key, webhooks] : mutating) out->mutating.insert(out->mutating.end(), webhooks.begin(), webhooks.end());
    for (const auto& [key, webhooks] : validating) out->validating.insert(out->validating.end(), webhooks.begin(), webhooks.end());
    return out->empty() ? nullptr : out;
  }
};

Extensions::Extensions(Cluster& cluster) : cluster_(cluster), compiled_(std::make_unique<Compiled>()) {}
Extensions::~Extensions() = default;

void Extensions::read_all() {
  auto listed = cluster_.store().list(prefix);
  if (!listed) return;
  *compiled_ = {};
  for (const store::EntryPtr& entry : listed->entries) compiled_->put(*entry);
  auto watch = cluster_.store().watch(prefix, listed->revision);
  changes_ = watch ? std::move(*watch) : nullptr;
  current_ = compiled_->set();
}

std::shared_ptr<const ExtensionSet> Extensions::current() {
  std::lock_guard lock(mutex_);
  if (!changes_) read_all();
  bool changed = false;
  for (std::vector<store::Event> events; changes_; events.clear()) {
    auto count = changes_->poll(events, 256);
    if (!count) {
      read_all();
      break;
    }
    if (*count == 0) break;
    for (const store::Event& event : events) {
      changed = true;
      if (event.kind == store::Event::Kind::put) compiled_->put(*event.entry);
      else compiled_->remove(event.entry->key);
    }
  }
  if (changed) current_ = compiled_->set();
  return current_;
}

}  // namespace estiba::apiserver::admission
