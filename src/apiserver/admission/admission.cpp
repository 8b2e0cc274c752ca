#include "apiserver/admission/admission.h"

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

Task<Result<void>> mutate(Attributes& attributes) {
  for (const Plugin& plugin : plugins()) {
    if (plugin.mutate) CO_TRY(plugin.mutate(attributes));
    if (plugin.mutate_waiting) CO_TRY(co_await plugin.mutate_waiting(attributes));
  }
  co_return {};
}

Task<Result<void>> validate(Attributes& attributes) {
  for (const Plugin& plugin : plugins()) {
    if (plugin.validate) CO_TRY(plugin.validate(attributes));
    if (plugin.validate_waiting) CO_TRY(co_await plugin.validate_waiting(attributes));
  }
  co_return {};
}

}  // namespace estiba::apiserver::admission
