// What `kubectl explain` says of what every object has.
#pragma once
#include <string_view>

#include "model/schema.h"

namespace estiba::model::openapi {

/// The text about a member of a type (null: of any object), or with `member` empty about the type; empty where there is none.
std::string_view description_of(const schema::Type* type, std::string_view member);

}  // namespace estiba::model::openapi
