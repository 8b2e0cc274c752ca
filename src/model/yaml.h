// YAML to and from JSON documents, read as Kubernetes reads it: YAML 1.1 ("yes" and 0644 are a boolean and 420), anchors,
// merge keys, several documents in a text.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/json.h"

namespace estiba::model {

/// A value with a tag of the application's own ("!reset") and the keys that lead to it.
struct YamlTag {
  std::string tag;
  std::vector<std::string> keys;
  size_t line = 0;
  bool in_list = false;  ///< an item of a list, or inside one: `keys` are those on the way
};

struct YamlOptions {
  int max_depth = 512;
  size_t max_copied_nodes = 200'000;   ///< what aliases may expand to, in all
  size_t max_copied_bytes = 4u << 20;  ///< of keys and texts
  bool allow_duplicate_keys = false;   ///< the last one wins
  bool yes_is_text = false;            ///< "yes", "no", "on", "off", "y" and "n" are texts, as YAML 1.2 (and Compose) reads them
  std::vector<std::string>* duplicates = nullptr;  ///< "line 9: key \"a\" already set in map" for each, when they are allowed
  std::vector<YamlTag>* local_tags = nullptr;      ///< when set, tags that begin with one "!" are listed here and mean nothing else
};

/// The documents of a text; empty ones are left out. Errors name the line.
Result<std::vector<json::Document>> parse_yaml_documents(std::string_view text, const YamlOptions& options = {});
/// The only document of a text: none gives null, several are an error.
Result<json::Document> parse_yaml(std::string_view text, const YamlOptions& options = {});

/// Block style, members in their order.
std::string print_yaml(const json::Node& node);

}  // namespace estiba::model
