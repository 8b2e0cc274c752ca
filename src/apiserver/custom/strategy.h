// The rules that all custom kinds share; what differs stands in their definition.
#pragma once
#include "apiserver/strategy.h"
#include "model/custom/definition.h"
#include "model/object.h"

namespace estiba::apiserver {

const Strategy& custom_strategy();

/// The object in the version and under the schema of the resource: what was stored before a definition changed is pruned
/// and gets defaults as it is read. When only a webhook can convert it, it stays in its own version.
Result<model::ObjectPtr> custom_in_version(const model::ObjectPtr& object, const model::CustomVersion& wanted);
/// What reading makes of a stored document of this version: pruned, with defaults, its metadata readable.
void conform_stored(json::Document& doc, json::Node& object, const model::CustomVersion& version);

}  // namespace estiba::apiserver
