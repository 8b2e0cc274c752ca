// One Compose file and what it extends and includes.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/compose/environment.h"
#include "model/json.h"
#include "model/yaml.h"

namespace estiba::cli::compose {

/// Reads files for a project: each parsed, interpolated, checked, its services extended and shaped.
class FileReader {
 public:
  FileReader(const Environment& environment, std::vector<std::string>* warnings) : environment_(environment), warnings_(warnings) {}

  /// The files merged in their order, with what they include. Relative paths are meant from `directory`.
  Result<json::Document> read(const std::vector<std::string>& files, const std::string& directory);

 private:
  Result<json::Document> parse(const std::string& file);
  Result<void> take_tags(json::Document& document, const std::vector<model::YamlTag>& tags, const std::string& file);
  Result<void> fill(json::Document& document, json::Node& node, const std::string& path, const std::string& file);
  Result<void> include(json::Document& document, const json::Node& list, const std::string& directory, const std::string& file);
  Result<void> include_one(json::Document& document, const json::Node& item, const std::string& directory, const std::string& file);
  Result<void> shape_all(json::Document& document, const std::string& directory, const std::string& file);
  Result<void> extend(json::Document& document, json::Node& services, const std::string& name, const std::string& directory,
                      const std::string& file, std::vector<std::string> trail);

  const Environment& environment_;
  std::vector<std::string>* warnings_;
  int depth_ = 0;
  /// What each file's !reset and !override take away from what it is merged into: the keys that lead there.
  std::map<std::string, std::vector<std::vector<std::string>>> cleared_;
};

}  // namespace estiba::cli::compose
