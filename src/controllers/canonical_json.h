// JSON in a form in which values that mean the same are the same text.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>

#include "model/json.h"

namespace estiba::controllers {

/// Members sorted by name; nulls, empty arrays and objects, and members called one of `without` (at any depth) left out.
std::string canonical_json(const json::Node& node, std::initializer_list<std::string_view> without = {});

/// Members sorted by name; nothing is left out. What Go prints of a map that it has read.
std::string sorted_json(const json::Node& node);

}  // namespace estiba::controllers
