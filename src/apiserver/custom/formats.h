// The formats of strings that schemas of custom resources may ask for, as Kubernetes checks them.
#pragma once
#include <string_view>

namespace estiba::apiserver {

/// Whether a string has a format ("date-time", "ipv4", …). Unknown formats hold everything.
bool has_format(std::string_view format, std::string_view text);

}  // namespace estiba::apiserver
