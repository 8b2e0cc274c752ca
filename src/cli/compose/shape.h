// Short forms made long, and the merge of files: both work on long forms only, which is what `compose config` prints.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/json.h"

namespace estiba::cli::compose {

/// Makes every short form of a service long. Relative paths are meant from `directory`, an absolute path. Errors name
/// the service and the key ("services.web.ports: …").
Result<void> shape_service(json::Document& document, json::Node& service, const std::string& directory);
/// Top-level networks, volumes, secrets and configs.
Result<void> shape_resources(json::Document& document, json::Node& root, const std::string& directory);

/// Merges `over` into `base`, both shaped: maps by key, lists by what identifies an item (a port's target, a mount's target), commands and
/// other whole values replaced. `base` is the root when `path` is empty; "services" names a map of services, and so on.
void merge_into(json::Document& document, json::Node& base, const json::Node& over, const std::string& path = "");

// Parts of it, each testable alone.
/// "8080:80", "127.0.0.1:8000-8001:80-81/udp", "[::1]::53", "80" → {mode, host_ip, target, published, protocol}.
Result<std::vector<json::Node*>> parse_port(json::Document& document, std::string_view text);
/// "data:/app:ro", "./x:/y", "/anonymous" → {type, source, target, read_only, bind|volume}.
Result<json::Node*> parse_mount(json::Document& document, std::string_view text, const std::string& directory);
/// Words as a shell reads them: quotes and backslashes.
Result<std::vector<std::string>> split_words(std::string_view text);
/// Absolute, from `directory`; "~/" is the home.
std::string absolute_path(std::string_view path, const std::string& directory);

}  // namespace estiba::cli::compose
