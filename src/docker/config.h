// Config and HostConfig as Docker shows them: every field, with its default where the client said nothing, and the image's
// configuration merged in. Kept as JSON, because they are mostly carried from the client to the client; who runs the container reads
// the fields that matter to it.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "model/json.h"

namespace estiba::docker {

/// The body of /containers/create without HostConfig and NetworkingConfig, merged with "config" of the image's configuration as dockerd
/// merges. "no command specified" (invalid) when neither names one. A field of the wrong type: invalid, naming it.
Result<json::Document> whole_config(const json::Node& given, const json::Node* image, const std::string& image_name, const std::string& id);

/// HostConfig with all fields, checked: limits, policies, modes. `given` may be null. Errors are dockerd's.
Result<json::Document> whole_host_config(const json::Node* given);
/// The checks of limits alone; for update.
Result<void> check_resources(const json::Node& host_config);
/// {"Name": …, "MaximumRetryCount": …}
Result<void> check_restart_policy(const json::Node& policy, bool auto_remove);

// Reading documents.
std::vector<std::string> strings_of(const json::Node* list);
int64_t int_at(const json::Node& node, std::string_view key, int64_t otherwise = 0);
bool bool_at(const json::Node& node, std::string_view key);
/// A copy of its own of a node; null gives {}.
json::Document copy_of(const json::Node* node);

}  // namespace estiba::docker
