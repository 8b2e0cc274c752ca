// Names of fields in expressions: what is no CEL identifier is escaped (k8s.io/apiserver/pkg/cel, Escape): "__" is
// "__underscores__", "." "__dot__", "-" "__dash__", "/" "__slash__", and a reserved word stands between two underscores.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace estiba::cel {

/// nullopt when the name cannot be written at all (a first digit, other characters).
std::optional<std::string> escape(std::string_view name);
/// nullopt when the text is not what escape() makes.
std::optional<std::string> unescape(std::string_view text);

}  // namespace estiba::cel
