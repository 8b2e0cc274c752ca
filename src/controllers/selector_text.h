// Label selectors as texts ("app=web,tier in (a,b),!old"): how queries and the scale subresource of custom kinds carry them.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/types/meta_v1.h"

namespace estiba::controllers {

std::string print_selector(const model::meta_v1::LabelSelector& selector);
/// Invalid when it is none.
Result<model::meta_v1::LabelSelector> parse_selector(std::string_view text);

}  // namespace estiba::controllers
