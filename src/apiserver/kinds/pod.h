// Pods: defaults, what the ServiceAccount, DefaultTolerationSeconds and Priority admission plugins of Kubernetes do, and
// which fields an update may change.
#pragma once
#include "apiserver/strategy.h"

namespace estiba::apiserver::pod {

void defaults(json::Document& doc, json::Node& object);
/// Service account (with its token volume), priority, tolerations. 403 when the account or the priority class is missing.
Result<void> admit(Draft& draft);
void prepare(Draft& draft);
void validate(Draft& draft);
extern const SelectableField fields[8];

}  // namespace estiba::apiserver::pod
