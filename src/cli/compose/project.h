// A Compose project: its files loaded, merged and checked, as one document of long forms.
//
// The document has "name", "services", "networks", "volumes", "secrets", "configs", as `compose config` prints it: services that
// are enabled, every short form long (shape.h), paths absolute, variables filled in, environments whole, names of resources set,
// members sorted.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/compose/environment.h"
#include "model/json.h"

namespace estiba::cli::compose {

struct LoadOptions {
  std::vector<std::string> files;      ///< -f; empty: COMPOSE_FILE or found; "-" is standard input
  std::string name;                    ///< -p
  std::string directory;               ///< --project-directory
  std::vector<std::string> env_files;  ///< --env-file; empty: the project's .env
  std::vector<std::string> profiles;   ///< --profile; "*" is all
  std::vector<std::string> targets;    ///< services named on the command line: enabled whatever their profiles
  Environment environment;             ///< of the process
  std::string working_directory;       ///< of the process
};

struct Project {
  std::string name, directory;
  std::vector<std::string> files;  ///< absolute paths
  json::Document document;
  std::vector<std::string> warnings;
  std::vector<std::string> disabled;  ///< services that no active profile enables
  std::vector<std::string> profiles;  ///< all that services name

  const json::Node& services() const { return *document.root().find("services"); }
  /// Null when there is no such service.
  const json::Node* service(std::string_view name) const { return services().find(name); }
  /// The member "networks", "volumes" or so on of that name; null when there is none.
  const json::Node* resource(std::string_view kind, std::string_view name) const { return document.root().at(kind, name); }
  /// not_found: `no such service: x`, with the nearest.
  Result<void> check_services(const std::vector<std::string>& names) const;
};

/// Errors name the file, the service and the key, and say what to do.
Result<Project> load_project(const LoadOptions& options);

/// The name that a directory's name makes: lower case, without what a name cannot have; may be empty.
std::string normal_project_name(std::string_view directory_name);

/// Services in the order in which they must start: each after those that it depends on. `names` empty: all; else these and,
/// with `dependencies`, what they depend on.
std::vector<std::string> start_order(const Project& project, const std::vector<std::string>& names, bool dependencies = true);

/// "a.yaml" and so on in `directory` or above it, with its override file; empty when there is none.
std::vector<std::string> find_files(const std::string& directory);

}  // namespace estiba::cli::compose
