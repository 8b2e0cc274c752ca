#include "cli/compose/project.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "cli/compose/check.h"
#include "cli/compose/file.h"
#include "cli/compose/shape.h"
#include "cli/flags.h"
#include "os/file.h"

namespace estiba::cli::compose {
namespace {

using json::Document;
using json::Node;

std::string parent(const std::string& directory) {
  const size_t slash = directory.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : directory.substr(0, slash);
}

/// The variables that a project's files may use: the process's before those of .env.
Result<Environment> whole_environment(const LoadOptions& options, const std::string& directory) {
  Environment out = options.environment;
  std::vector<std::string> files = options.env_files;
  const bool given = !files.empty();
  if (!given) files.push_back(directory + "/.env");
  Environment from_files;
  for (const auto& file : files) {
    const std::string path = absolute_path(file, options.working_directory);
    if (!os::exists(path)) {
      if (given) return fail(Code::not_found, "couldn't find env file: " + path);
      continue;
    }
    if (auto info = os::stat_file(path); info && S_ISDIR(info->st_mode)) continue;
    Environment both = from_files;
    for (const auto& [name, value] : options.environment) both[name] = value;
    for (auto& [name, value] : TRY_AS(path, parse_env_file(TRY(os::read_file(path)), both))) from_files[name] = value;
  }
  out.insert(from_files.begin(), from_files.end());
  return out;
}

std::string value_of(const Environment& environment, std::string_view name) {
  auto it = environment.find(name);
  return it == environment.end() ? "" : it->second;
}

Result<std::string> choose_name(const LoadOptions& options, const Environment& environment, const Node& root,
                                const std::string& directory) {
  std::string name = options.name;
  if (name.empty()) name = value_of(environment, "COMPOSE_PROJECT_NAME");
  const bool given = !name.empty();
  if (!given) name = root.string_at("name");
  if (name.empty()) {
    name = normal_project_name(directory.substr(directory.rfind('/') + 1));
    if (name.empty()) return fail(Code::invalid, "project name must not be empty: the directory's name makes none; give one with -p");
  }
  if (normal_project_name(name) != name)
    return fail(
        Code::invalid,
        "invalid project name " + quoted(name) +
            ": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number");
  return name;
}

/// Members sorted, so that what is equal prints alike.
Node& sorted(Document& document, const Node& node) {
  if (node.is_object()) {
    std::vector<const Node*> members;
    for (const Node& member : node) members.push_back(&member);
    std::sort(members.begin(), members.end(), [](const Node* a, const Node* b) { return a->key() < b->key(); });
    Node& out = document.make_object();
    for (const Node* member : members) document.add(out, member->key(), sorted(document, *member));
    return out;
  }
  if (node.is_array()) {
    Node& out = document.make_array();
    for (const Node& item : node) document.append(out, sorted(document, item));
    return out;
  }
  return document.copy(node);
}

/// Takes away services that no active profile enables.
void apply_profiles(Project& project, Document& document, Node& root, const LoadOptions& options, const Environment& environment) {
  std::vector<std::string> active = options.profiles;
  for (std::string_view each : split(value_of(environment, "COMPOSE_PROFILES"), ','))
    if (!trim(each).empty()) active.emplace_back(trim(each));
  auto is_in = [](const std::vector<std::string>& list, std::string_view text) {
    return std::find(list.begin(), list.end(), text) != list.end();
  };
  Node& services = document.ensure_object(root, "services");
  // A service that is asked for by name brings its profiles with it.
  for (const auto& target : options.targets)
    if (const Node* profiles = services.find(target) ? services.find(target)->find("profiles") : nullptr)
      for (const Node& profile : *profiles) active.emplace_back(profile.as_string());
  std::set<std::string> all;
  for (const Node& service : services) {
    const Node* profiles = service.find("profiles");
    if (!profiles || profiles->empty()) continue;
    bool enabled = is_in(active, "*");
    for (const Node& profile : *profiles) {
      all.emplace(profile.as_string());
      enabled = enabled || is_in(active, profile.as_string());
    }
    if (!enabled) project.disabled.emplace_back(service.key());
  }
  for (const auto& name : project.disabled) document.remove(services, name);
  project.profiles.assign(all.begin(), all.end());
}

Result<std::vector<std::string>> choose_files(const LoadOptions& options) {
  std::vector<std::string> out;
  std::vector<std::string> given = options.files;
  if (given.empty()) {
    std::string variable = value_of(options.environment, "COMPOSE_FILE");
    if (variable.empty()) {
      const std::string dot_env = options.working_directory + "/.env";
      if (auto text = os::read_file(dot_env))
        if (auto parsed = parse_env_file(*text, options.environment)) variable = value_of(*parsed, "COMPOSE_FILE");
    }
    std::string separator = value_of(options.environment, "COMPOSE_PATH_SEPARATOR");
    if (separator.empty()) separator = ":";
    if (!variable.empty())
      for (std::string_view each : split(variable, separator[0])) given.emplace_back(each);
  }
  for (const auto& file : given) out.push_back(file == "-" ? file : absolute_path(file, options.working_directory));
  if (out.empty())
    out = find_files(options.directory.empty() ? options.working_directory : absolute_path(options.directory, options.working_directory));
  if (out.empty())
    return fail(Code::not_found,
                "no configuration file provided: not found; give one with -f, or go to a directory that has a compose.yaml");
  return out;
}

}  // namespace

std::string normal_project_name(std::string_view text) {
  std::string out;
  for (char c : to_lower(text)) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (word || (!out.empty() && (c == '-' || c == '_'))) out += c;
  }
  return out;
}

std::vector<std::string> find_files(const std::string& start) {
  for (std::string directory = start;; directory = parent(directory)) {
    for (const char* name : {"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}) {
      const std::string path = (directory == "/" ? "" : directory) + "/" + name;
      if (!os::exists(path)) continue;
      std::vector<std::string> out{path};
      const std::string stem = path.substr(0, path.rfind('.'));
      for (const char* ending : {".override.yml", ".override.yaml"})
        if (os::exists(stem + ending)) {
          out.push_back(stem + ending);
          break;
        }
      return out;
    }
    if (directory == "/" || directory.empty()) return {};
  }
}

Result<Project> load_project(const LoadOptions& options) {
  Project project;
  project.files = TRY(choose_files(options));
  project.directory = !options.directory.empty() ? absolute_path(options.directory, options.working_directory)
                      : project.files[0] == "-"  ? options.working_directory
                                                 : parent(project.files[0]);
  Environment environment = TRY(whole_environment(options, project.directory));
  // Files may use the project's name; the one that they give themselves is not known before they are read.
  Node empty;
  if (auto early = choose_name(options, environment, empty, project.directory)) environment.emplace("COMPOSE_PROJECT_NAME", *early);
  FileReader reader(environment, &project.warnings);
  Document merged = TRY(reader.read(project.files, project.directory));
  Node& root = merged.root();
  project.name = TRY(choose_name(options, options.environment.contains("COMPOSE_PROJECT_NAME") ? options.environment : Environment(), root,
                                 project.directory));
  merged.set(root, "name", project.name);
  apply_profiles(project, merged, root, options, environment);
  TRY(complete(merged, project, environment));
  project.document.set_root(sorted(project.document, root));
  return project;
}

Result<void> Project::check_services(const std::vector<std::string>& names) const {
  for (const auto& name : names) {
    if (service(name)) continue;
    std::vector<std::string_view> known;
    for (const Node& each : services()) known.push_back(each.key());
    const std::string_view near = nearest(name, known);
    return fail(Code::not_found, "no such service: " + name + (near.empty() ? "" : "; did you mean " + quoted(near) + "?"));
  }
  return {};
}

std::vector<std::string> start_order(const Project& project, const std::vector<std::string>& names, bool dependencies) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  auto visit = [&](auto& self, std::string name) -> void {
    const Node* service = project.service(name);
    if (!service || !seen.insert(name).second) return;
    if (const Node* depends = service->find("depends_on"))
      for (const Node& each : *depends)
        if (dependencies || std::find(names.begin(), names.end(), each.key()) != names.end()) self(self, std::string(each.key()));
    out.push_back(std::move(name));
  };
  if (names.empty())
    for (const Node& service : project.services()) visit(visit, std::string(service.key()));
  for (const auto& name : names) visit(visit, name);
  return out;
}

}  // namespace estiba::cli::compose
