// MutatingWebhookConfiguration, ValidatingWebhookConfiguration. (Kubernetes: pkg/apis/admissionregistration/validation.)
#include <set>

#include "apiserver/edit.h"
#include "apiserver/kinds/rules.h"
#include "apiserver/kinds/simple.h"
#include "apiserver/kinds/webhook_rules.h"
#include "base/strings.h"
#include "model/names.h"

namespace estiba::apiserver::simple {
namespace {

using json::Node;

void check_name(std::string_view name, const std::string& field, FieldErrors& errors) {
  if (name.empty()) return errors.required(field);
  const model::Problems problems = model::check_dns1123_subdomain(name);
  if (!problems.empty()) return errors.invalid_string(field, name, join(problems, ","));
  if (split(name, '.').size() < 3) errors.invalid_string(field, name, "should be a domain with at least three segments separated by dots");
}

void check_webhook(const Node& webhook, const Node* old, const admission::Names& names, const std::string& path, FieldErrors& errors) {
  check_name(webhook.string_at("name"), path + ".name", errors);
  if (const Node* rules = webhook.find("rules"); present(rules)) {
    size_t i = 0;
    for (const Node& rule : *rules) check_admission_rule(rule, at(path + ".rules", i++), errors);
  }
  const std::string_view effects = webhook.string_at("sideEffects");
  if (effects.empty()) errors.required(path + ".sideEffects", "must specify one of None, NoneOnDryRun");
  else require_one_of(webhook.find("sideEffects"), path + ".sideEffects", {"None", "NoneOnDryRun"}, errors);
  const Node* timeout = webhook.find("timeoutSeconds");
  if (const int64_t seconds = present(timeout) ? timeout->as_int().value_or(10) : 10; seconds < 1 || seconds > 30)
    errors.invalid(path + ".timeoutSeconds", timeout, "the timeout value must be between 1 and 30 seconds");
  for (std::string_view key : {"namespaceSelector", "objectSelector"})
    if (const Node* selector = webhook.find(key); present(selector))
      validate_label_selector(*selector, path + "." + std::string(key), errors);
  check_webhook_client(webhook.find("clientConfig"), path + ".clientConfig", errors);
  const Node* conditions = webhook.find("matchConditions");
  // What has been accepted once stays accepted.
  if (!old || !same(old->find("matchConditions"), conditions)) check_match_conditions(conditions, names, path + ".matchConditions", errors);
  check_review_versions(webhook.find("admissionReviewVersions"), path + ".admissionReviewVersions", "must specify one of v1, v1beta1",
                        errors);
}

}  // namespace

void validate_webhook_configuration(Draft& draft) {
  const Node* webhooks = draft.object.find("webhooks");
  if (!present(webhooks)) return;
  const admission::Names names({});
  const Node* old = draft.old ? draft.old->find("webhooks") : nullptr;
  std::set<std::string_view> seen;
  uint32_t i = 0;
  for (const Node& webhook : *webhooks) {
    const std::string path = at("webhooks", i);
    check_webhook(webhook, present(old) && i < old->size() ? &(*old)[i] : nullptr, names, path, draft.errors);
    const std::string_view name = webhook.string_at("name");
    if (!name.empty() && !seen.insert(name).second) draft.errors.duplicate(path + ".name", name);
    ++i;
  }
}

}  // namespace estiba::apiserver::simple
