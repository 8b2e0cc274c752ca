// docker volume VERB.
#include <cstdio>

#include "base/strings.h"
#include "cli/docker/format.h"
#include "cli/docker/json_build.h"
#include "cli/docker/session.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"

namespace estiba::cli::docker {

Result<int> volume_create(Call& call) {
  std::string driver = "local", name;
  std::vector<std::string> labels, options;
  Flags flags(call);
  flags.add("driver,d", &driver, "Specify volume driver name");
  flags.add("label", &labels, "Set metadata for a volume");
  flags.add("name", &name, "Specify volume name");
  flags.hide();
  flags.add("opt,o", &options, "Set driver specific options", "map");
  const Arguments arguments = TRY(flags.parse());
  if (!arguments.empty()) {
    if (!name.empty())
      return fail(Code::invalid, "conflicting options: cannot specify a volume-name through both --name and as a positional arg");
    name = arguments[0];
  }
  Builder body;
  body.set("Name", name).set("Driver", driver);
  for (const std::string& pair : options) {
    auto [key, value] = split_once(pair, '=');
    body.object("DriverOpts").set(key, value.value_or(""));
  }
  for (const std::string& pair : labels) {
    auto [key, value] = split_once(pair, '=');
    body.object("Labels").set(key, value.value_or(""));
  }
  const json::Document answer = TRY(TRY(call.cli.client())->call({.method = "POST", .path = "/volumes/create", .body = body.text()}));
  std::printf("%s\n", std::string(answer.root().string_at("Name")).c_str());
  return 0;
}

Result<int> volume_ls(Call& call) {
  bool quiet = false;
  std::string format;
  std::vector<std::string> filter;
  Flags flags(call);
  flags.add("filter,f", &filter, "Provide filter values (e.g. \"dangling=true\")", "filter");
  flags.add("format", &format, "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'");
  flags.add("quiet,q", &quiet, "Only display volume names");
  TRY(flags.parse());
  if (format.empty() && !quiet) format = TRY(call.cli.config())->text("volumesFormat");
  Listing listing("*formatter.volumeContext", {{"Name", "VOLUME NAME"},
                                               {"Driver", "DRIVER"},
                                               {"Scope", "SCOPE"},
                                               {"Availability", "AVAILABILITY"},
                                               {"Mountpoint", "MOUNTPOINT"},
                                               {"Labels", "LABELS"},
                                               {"Links", "LINKS"},
                                               {"Size", "SIZE"},
                                               {"Group", "GROUP"},
                                               {"Status", "STATUS"}});
  TRY(listing.start(format, quiet, "{{.Driver}}\t{{.Name}}", "{{.Name}}"));
  Request request{.path = "/volumes"};
  if (std::string conditions = TRY(filters(filter)); !conditions.empty()) request.query.add("filters", conditions);
  const json::Document answer = TRY(TRY(call.cli.client())->call(std::move(request)));
  std::vector<const json::Node*> volumes;
  if (const json::Node* list = answer.root().find("Volumes"))
    for (const json::Node& each : *list) volumes.push_back(&each);
  std::sort(volumes.begin(), volumes.end(), [](auto* a, auto* b) { return a->string_at("Name") < b->string_at("Name"); });
  for (const json::Node* volume : volumes) {
    json::Node& row = listing.row();
    std::vector<std::string> labels;
    if (const json::Node* list = volume->find("Labels"))
      for (const json::Node& label : *list) labels.push_back(std::string(label.key()) + "=" + std::string(label.as_string()));
    std::sort(labels.begin(), labels.end());
    const json::Node* size = volume->at("UsageData", "Size");
    const json::Node* links = volume->at("UsageData", "RefCount");
    listing.set(row, "Availability", "N/A");
    listing.set(row, "Driver", volume->string_at("Driver"));
    listing.set(row, "Group", "N/A");
    listing.set(row, "Labels", join(labels, ","));
    listing.set(row, "Links", links ? std::string(links->number_text()) : "N/A");
    listing.set(row, "Mountpoint", volume->string_at("Mountpoint"));
    listing.set(row, "Name", volume->string_at("Name"));
    listing.set(row, "Scope", volume->string_at("Scope"));
    listing.set(row, "Size", size ? human_size(double(size->as_int().value_or(0))) : "N/A");
    listing.set(row, "Status", "N/A");
    TRY(listing.add(row, volume->find("Labels")));
  }
  std::fputs(TRY(listing.finish()).c_str(), stdout);
  return 0;
}

Result<int> volume_rm(Call& call) {
  bool force = false;
  Flags flags(call);
  flags.add("force,f", &force, "Force the removal of one or more volumes");
  const Arguments names = TRY(flags.parse());
  Client& client = *TRY(call.cli.client());
  return for_each(names, [&](std::string_view name) -> Result<void> {
    Request request{.method = "DELETE", .path = "/volumes/" + segment(name)};
    if (force) request.query.add("force", "1");
    TRY(client.text(std::move(request)));
    std::printf("%.*s\n", int(name.size()), name.data());
    return {};
  });
}

Result<int> volume_prune(Call& call) {
  bool all = false, force = false;
  std::vector<std::string> filter;
  Flags flags(call);
  flags.add("all,a", &all, "Remove all unused volumes, not just anonymous ones");
  flags.add("filter", &filter, "Provide filter values (e.g. \"label=<label>\")", "filter");
  flags.add("force,f", &force, "Do not prompt for confirmation");
  TRY(flags.parse());
  if (all) filter.emplace_back("all=true");
  const std::string which =
      all ? "all local volumes not used by at least one container" : "anonymous local volumes not used by at least one container";
  if (!force && !confirmed("WARNING! This will remove " + which + ".\nAre you sure you want to continue?")) return 0;
  Request request{.method = "POST", .path = "/volumes/prune"};
  if (std::string conditions = TRY(filters(filter)); !conditions.empty()) request.query.add("filters", conditions);
  const json::Document answer = TRY(TRY(call.cli.client())->call(std::move(request)));
  if (const json::Node* gone = answer.root().find("VolumesDeleted"); gone && !gone->empty()) {
    std::puts("Deleted Volumes:");
    for (const json::Node& each : *gone) std::printf("%s\n", std::string(each.as_string()).c_str());
    std::puts("");
  }
  const json::Node* space = answer.root().find("SpaceReclaimed");
  std::printf("Total reclaimed space: %s\n", human_size(space ? space->as_double().value_or(0) : 0, 4).c_str());
  return 0;
}

}  // namespace estiba::cli::docker
