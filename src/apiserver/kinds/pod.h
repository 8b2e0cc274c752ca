// Pods: defaults, and which fields an update may change. Service accounts, priorities and tolerations are admission's.
#pragma once
#include "apiserver/strategy.h"

namespace estiba::apiserver::pod {

void defaults(json::Document& doc, json::Node& object);
void prepare(Draft& draft);
void validate(Draft& draft);
extern const SelectableField fields[8];

}  // namespace estiba::apiserver::pod
