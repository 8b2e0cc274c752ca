// Finalizers: names on an object that keep it, once it is deleted, until whoever put each there has taken it off.
#pragma once
#include <string>
#include <string_view>

#include "model/object.h"

namespace estiba::client {

bool has_finalizer(const model::Meta& meta, std::string_view finalizer);

/// The merge patch that puts `finalizer` on `object` (`held`) or takes it off and leaves the others as they are. It is refused
/// (Code::conflict) when the object has changed since, because the list is written whole.
std::string finalizer_patch(const model::ObjectRef& object, std::string_view finalizer, bool held);

}  // namespace estiba::client
