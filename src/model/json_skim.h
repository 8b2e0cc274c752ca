// Reading a text of ours for a few of its members.
#pragma once
#include <span>
#include <string_view>

#include "model/json.h"

namespace estiba::json {

/// Parses without the members of these names, at whatever depth they stand: they are stepped over, and what they hold is not checked.
/// For texts that have been parsed before.
Result<Document> parse_without(std::string_view text, std::span<const std::string_view> left_out);
/// Likewise, but only where they are members of `parent`, which is a member of the whole.
Result<Document> parse_without(std::string_view text, std::string_view parent, std::span<const std::string_view> left_out);

}  // namespace estiba::json
