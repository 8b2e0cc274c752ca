// What a YAML scalar means, by YAML 1.1's core types as go-yaml v2 reads them. Private to yaml*.cpp.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/json.h"

namespace estiba::model::yaml {

/// The node for a scalar; `plain` is one without quotes, whose type follows from its text unless a tag says it.
Result<json::Node*> resolve(json::Document& document, std::string_view text, std::string_view tag, bool plain);
/// "yes", "off" and so on: booleans of YAML 1.1 only.
bool is_yes_or_no(std::string_view text);
/// Whether a plain scalar of this text would be read as a string.
bool reads_as_string(std::string_view text);
/// The key that a scalar makes: numbers and booleans become text.
std::string key_text(const json::Node& node);

}  // namespace estiba::model::yaml
