#include "apiserver/admission/admission.h"

#include <algorithm>

#include "apiserver/admission/extensions.h"
#include "apiserver/admission/plugins.h"
#include "apiserver/api_errors.h"

namespace estiba::apiserver::admission {

Attributes Attributes::of(Draft& draft) {
  return {.operation = draft.creating() ? Operation::create : Operation::update,
          .action = draft.action,
          .cluster = draft.cluster,
          .doc = &draft.doc,
          .object = &draft.object,
          .old = draft.old,
          .dry_run = draft.action.write.dry_run,
          .warnings = draft.warnings};
}

std::string_view Attributes::name() const {
  if (!action.name.empty()) return action.name;
  return object ? object->string_at("metadata", "name") : std::string_view{};
}

std::unexpected<Error> Attributes::forbidden(std::string_view why) const { return apiserver::forbidden(*action.resource, name(), why); }

void Attributes::warn(std::string text) {
  if (std::find(warnings.begin(), warnings.end(), text) == warnings.end()) warnings.push_back(std::move(text));
}

namespace {

Task<Result<void>> mutate_once(Attributes& attributes) {
  for (const Plugin& plugin : plugins()) {
    if (plugin.mutate) CO_TRY(plugin.mutate(attributes));
    if (plugin.mutate_waiting) CO_TRY(co_await plugin.mutate_waiting(attributes));
  }
  co_return {};
}

}  // namespace

Task<Result<void>> mutate(Attributes& attributes) {
  Reinvocation rounds;
  attributes.rounds = &rounds;
  auto done = co_await mutate_once(attributes);
  if (done && rounds.wanted) {
    rounds.second = true;
    done = co_await mutate_once(attributes);
  }
  attributes.rounds = nullptr;
  co_return done;
}

Task<Result<void>> validate(Attributes& attributes) {
  for (const Plugin& plugin : plugins()) {
    if (plugin.validate) CO_TRY(plugin.validate(attributes));
    if (plugin.validate_waiting) CO_TRY(co_await plugin.validate_waiting(attributes));
  }
  co_return {};
}

bool has_extensions(Cluster& cluster) { return cluster.extensions().current() != nullptr; }

Task<Result<void>> admit_act(Cluster& cluster, const Action& action, Operation operation, json::Document& object,
                             std::vector<std::string>& warnings) {
  Attributes attributes{.operation = operation,
                        .action = action,
                        .cluster = cluster,
                        .doc = &object,
                        .object = &object.root(),
                        .dry_run = action.write.dry_run,
                        .warnings = warnings};
  CO_TRY(restrict_node(attributes));
  if (!has_extensions(cluster)) co_return {};
  Reinvocation rounds;
  attributes.rounds = &rounds;
  for (rounds.second = false;; rounds.second = true) {
    CO_TRY(co_await apply_mutating_policies(attributes));
    CO_TRY(co_await ask_mutating_webhooks(attributes));
    if (!rounds.wanted || rounds.second) break;
  }
  attributes.rounds = nullptr;
  CO_TRY(co_await apply_validating_policies(attributes));
  co_return co_await ask_validating_webhooks(attributes);
}

}  // namespace estiba::apiserver::admission
