// JSONPath as Kubernetes writes it in printer columns and selectable fields: ".spec.replicas",
// ".status.conditions[?(@.type=="Ready")].status", ".metadata.labels['example.com/name']", ".spec.ports[*].port".
// (k8s.io/client-go util/jsonpath, without templates around the path.)
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/json.h"

namespace estiba::model {

class JsonPath {
 public:
  /// A path begins with '.' or '['; Code::malformed names the place that cannot be read.
  static Result<JsonPath> parse(std::string_view text);

  /// Everything the path leads to; what is missing on the way gives nothing.
  std::vector<const json::Node*> find(const json::Node& root) const;
  /// The first of them, or null.
  const json::Node* first(const json::Node& root) const;

 private:
  struct Filter;
  struct Step {
    enum class Kind : uint8_t { keys, index, slice, all, filter, recursive } kind = Kind::keys;
    std::vector<std::string> keys;
    int64_t from = 0, to = 0, step = 1;
    bool has_from = false, has_to = false;
    std::shared_ptr<const Filter> filter;
  };
  using Nodes = std::vector<const json::Node*>;
  class Parser;
  static void apply(const Step& step, const json::Node& node, Nodes& out);
  static bool matches(const Filter& filter, const json::Node& node);

  std::vector<Step> steps_;
};

/// A value as text, as a column of type string shows it: strings as they are, objects and lists as JSON.
std::string json_path_text(const json::Node& node);

}  // namespace estiba::model
