// compose config: the project as it is understood.
#include <cstdio>
#include <set>

#include "base/strings.h"
#include "cli/compose/body.h"
#include "cli/compose/commands.h"
#include "cli/compose/context.h"
#include "model/yaml.h"
#include "os/file.h"

namespace estiba::cli::compose {
namespace {

using json::Node;

void print_keys(const Node* map) {
  if (!map) return;
  for (const Node& each : *map) std::printf("%s\n", std::string(each.key()).c_str());
}

/// What a list option asks for; false when none was given.
bool print_list(const Project& project, const std::vector<std::string>& names, bool services, bool volumes, bool networks, bool images,
                bool profiles, const std::string& hash, bool environment) {
  auto wanted = [&](std::string_view name) { return names.empty() || std::find(names.begin(), names.end(), name) != names.end(); };
  if (services)
    for (const auto& name : start_order(project, names)) std::printf("%s\n", name.c_str());
  else if (volumes) print_keys(project.document.root().find("volumes"));
  else if (networks) print_keys(project.document.root().find("networks"));
  else if (images)
    for (const Node& service : project.services()) {
      if (wanted(service.key())) std::printf("%s\n", image_of(project, service).c_str());
    }
  else if (profiles)
    for (const auto& each : project.profiles) std::printf("%s\n", each.c_str());
  else if (!hash.empty())
    for (const Node& service : project.services()) {
      if (hash == "*" || hash == service.key())
        std::printf("%s %s\n", std::string(service.key()).c_str(), config_hash(project, service).c_str());
    }
  else if (environment)
    for (const Node& service : project.services()) {
      if (const Node* variables = service.find("environment"))
        for (const Node& each : *variables) std::printf("%s=%s\n", std::string(each.key()).c_str(), std::string(each.as_string()).c_str());
    }
  else return false;
  return true;
}

}  // namespace

Result<int> config(Context& context) {
  bool quiet = false, services = false, volumes = false, networks = false, images = false, profiles = false, environment = false,
       no_interpolate = false;
  bool no_normalize = false, no_consistency = false, no_path_resolution = false, resolve_digests = false, lock_digests = false;
  std::string format = "yaml", output, hash;
  docker::Flags flags(context.call);
  flags.add("environment", &environment, "Print environment used for interpolation");
  flags.add("format", &format, "Format the output. Values: [yaml | json]");
  flags.add("hash", &hash, "Print the service config hash, one per line; \"*\" for all services");
  flags.add("images", &images, "Print the image names, one per line");
  flags.add("lock-image-digests", &lock_digests, "Produces an override file with image digests");
  flags.hide();
  flags.add("networks", &networks, "Print the network names, one per line");
  flags.add("no-consistency", &no_consistency, "Accepted; the model is always checked");
  flags.hide();
  flags.add("no-interpolate", &no_interpolate, "Don't interpolate environment variables");
  flags.hide();
  flags.add("no-normalize", &no_normalize, "Accepted; the model is always normalized");
  flags.hide();
  flags.add("no-path-resolution", &no_path_resolution, "Accepted; paths are always absolute");
  flags.hide();
  flags.add("output,o", &output, "Save to file (default to stdout)");
  flags.add("profiles", &profiles, "Print the profile names, one per line");
  flags.add("quiet,q", &quiet, "Only validate the configuration, don't print anything");
  flags.add("resolve-image-digests", &resolve_digests, "Pin image tags to digests");
  flags.hide();
  flags.add("services", &services, "Print the service names, one per line");
  flags.add("volumes", &volumes, "Print the volume names, one per line");
  const auto names = strings(TRY(flags.parse()));
  if (no_interpolate || resolve_digests || lock_digests)
    return fail(Code::unsupported, "--no-interpolate, --resolve-image-digests and --lock-image-digests are not supported; leave them out");
  if (format != "yaml" && format != "json")
    return fail(Code::invalid, "unsupported format " + quoted(format) + "; yaml or json is expected");
  Project project = TRY(context.load(names));
  TRY(project.check_services(names));
  if (quiet) return 0;
  if (print_list(project, names, services, volumes, networks, images, profiles, hash, environment)) return 0;
  Node& root = project.document.root();
  if (!names.empty()) {
    const auto keep = start_order(project, names);
    std::vector<std::string> drop;
    for (const Node& service : project.services())
      if (std::find(keep.begin(), keep.end(), service.key()) == keep.end()) drop.emplace_back(service.key());
    for (const auto& name : drop) project.document.remove(*root.find("services"), name);
  }
  const std::string text = format == "json" ? json::print_pretty(root) + "\n" : model::print_yaml(root);
  if (!output.empty()) TRY(os::write_file(output, text, O_CREAT | O_TRUNC));
  else std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace estiba::cli::compose
