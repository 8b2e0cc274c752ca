#include "apiserver/admission/scale.h"

#include "apiserver/special/special.h"

namespace estiba::apiserver::admission {

Task<Result<void>> with_scale(Attributes& attributes, Task<Result<void>> (*ask)(Attributes&)) {
  const Action& action = attributes.action;
  if (action.subresource != "scale" || !attributes.object || !attributes.old) co_return co_await ask(attributes);
  json::Document scale = scale_of(action, *attributes.object);
  const json::Document old = scale_of(action, *attributes.old);
  Attributes shown{.operation = attributes.operation,
                   .action = action,
                   .cluster = attributes.cluster,
                   .doc = &scale,
                   .object = &scale.root(),
                   .old = &old.root(),
                   .dry_run = attributes.dry_run,
                   .warnings = attributes.warnings,
                   .rounds = attributes.rounds};
  CO_TRY(co_await ask(shown));
  if (!shown.changed) co_return {};
  take_scale(action, *attributes.doc, scale.root());
  attributes.changed = true;
  co_return {};
}

}  // namespace estiba::apiserver::admission
