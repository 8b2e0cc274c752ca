// What a pod or template is better written without: told to the user, not refused (pkg/api/pod/warnings.go).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/strategy.h"
#include "model/json.h"

namespace estiba::apiserver {

/// Adds a warning, once.
void warn(std::vector<std::string>& warnings, std::string text);
/// Of a pod (`path` empty) or a template (`path` "spec.template"): its metadata and spec.
void warn_about_pod(const json::Node& pod, const std::string& path, std::vector<std::string>& warnings);

}  // namespace estiba::apiserver
