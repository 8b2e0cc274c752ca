// Tells definitions that one version of the server makes from those of another.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/strings.h"

namespace estiba::apiserver {

/// A number that changes with any of the parts.
inline std::string version_of(std::initializer_list<std::string_view> parts) {
  std::string all;
  for (std::string_view part : parts) all.append(part).append(1, '\n');
  return std::to_string(fnv1a32(all));
}

}  // namespace estiba::apiserver
