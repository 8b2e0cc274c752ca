// docker system df, docker system prune, docker container prune, docker system dial-stdio.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>

#include "base/strings.h"
#include "cli/docker/connect.h"
#include "cli/docker/format.h"
#include "cli/docker/session.h"
#include "cli/docker/terminal.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"

namespace estiba::cli::docker {

std::string display_ports(const json::Node* ports);

namespace {

double number(const json::Node& node, auto... path) {
  const json::Node* found = node.at(path...);
  return found ? found->as_double().value_or(0) : 0;
}

bool truth(const json::Node& node, std::string_view member) {
  const json::Node* found = node.find(member);
  return found && found->as_bool();
}

struct Usage {
  std::string_view type;
  int64_t total = 0, active = 0;
  double size = 0, reclaimable = 0;
  bool percent = true;
};

bool is_active(const json::Node& container) {
  const std::string_view state = container.string_at("State");
  return state == "running" || state == "paused" || state == "restarting";
}

Usage images_usage(const json::Node& df) {
  Usage out{.type = "Images", .size = number(df, "LayersSize")};
  double used = 0;
  if (const json::Node* list = df.find("Images"))
    for (const json::Node& image : *list) {
      ++out.total;
      if (number(image, "Containers") <= 0) continue;
      ++out.active;
      const double size = number(image, "Size"), shared = number(image, "SharedSize");
      if (size >= 0 && shared >= 0) used += size - shared;
    }
  out.reclaimable = out.size - used;
  return out;
}

Usage containers_usage(const json::Node& df) {
  Usage out{.type = "Containers"};
  if (const json::Node* list = df.find("Containers"))
    for (const json::Node& container : *list) {
      const double size = number(container, "SizeRw");
      ++out.total;
      out.size += size;
      if (is_active(container)) ++out.active;
      else out.reclaimable += size;
    }
  return out;
}

Usage volumes_usage(const json::Node& df) {
  Usage out{.type = "Local Volumes"};
  if (const json::Node* list = df.find("Volumes"))
    for (const json::Node& volume : *list) {
      ++out.total;
      const double size = number(volume, "UsageData", "Size");
      const bool used = number(volume, "UsageData", "RefCount") > 0;
      out.active += used;
      if (size < 0) continue;
      out.size += size;
      if (!used) out.reclaimable += size;
    }
  return out;
}

Usage cache_usage(const json::Node& df) {
  Usage out{.type = "Build Cache", .percent = false};
  if (const json::Node* list = df.find("BuildCache"))
    for (const json::Node& each : *list) {
      ++out.total;
      out.active += truth(each, "InUse");
      if (truth(each, "Shared")) continue;
      out.size += number(each, "Size");
      if (!truth(each, "InUse")) out.reclaimable += number(each, "Size");
    }
  return out;
}

Result<void> print_summary(const json::Node& df, std::string_view format) {
  Listing listing("*formatter.diskUsageContext",
                  {{"Type", "TYPE"}, {"TotalCount", "TOTAL"}, {"Active", "ACTIVE"}, {"Size", "SIZE"}, {"Reclaimable", "RECLAIMABLE"}});
  TRY(listing.start(format, false, "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}", ""));
  for (const Usage& usage : {images_usage(df), containers_usage(df), volumes_usage(df), cache_usage(df)}) {
    std::string reclaimable = human_size(usage.reclaimable, 4);
    if (usage.percent && usage.size > 0) reclaimable += " (" + std::to_string(int64_t(usage.reclaimable * 100 / usage.size)) + "%)";
    json::Node& row = listing.row();
    listing.set(row, "Active", std::to_string(usage.active));
    listing.set(row, "Reclaimable", reclaimable);
    listing.set(row, "Size", human_size(usage.size, 4));
    listing.set(row, "TotalCount", std::to_string(usage.total));
    listing.set(row, "Type", usage.type);
    TRY(listing.add(row));
  }
  std::fputs(TRY(listing.finish()).c_str(), stdout);
  return {};
}

void print_details(const json::Node& df) {
  std::string text = "REPOSITORY\tTAG\tIMAGE ID\tCREATED\tSIZE\tSHARED SIZE\tUNIQUE SIZE\tCONTAINERS\n";
  if (const json::Node* list = df.find("Images"))
    for (const json::Node& image : *list) {
      std::string repository = "<none>", tag = "<none>";
      if (const json::Node* tags = image.find("RepoTags"); tags && !tags->empty()) {
        const std::string_view name = (*tags)[0].as_string();
        repository = name.substr(0, name.rfind(':'));
        tag = name.substr(name.rfind(':') + 1);
      }
      const double size = number(image, "Size"), shared = std::max(0.0, number(image, "SharedSize"));
      text += repository + "\t" + tag + "\t" + short_id(image.string_at("Id")) + "\t" + ago(int64_t(number(image, "Created"))) + "\t" +
              human_size(size) + "\t" + human_size(shared) + "\t" + human_size(size - shared, 4) + "\t" +
              std::to_string(int64_t(number(image, "Containers"))) + "\n";
    }
  std::printf("Images space usage:\n\n%s", align(text).c_str());
  text = "CONTAINER ID\tIMAGE\tCOMMAND\tLOCAL VOLUMES\tSIZE\tCREATED\tSTATUS\tNAMES\n";
  if (const json::Node* list = df.find("Containers"))
    for (const json::Node& container : *list) {
      int64_t volumes = 0;
      if (const json::Node* mounts = container.find("Mounts"))
        for (const json::Node& mount : *mounts) volumes += mount.string_at("Driver") == "local";
      std::string_view name;
      if (const json::Node* names = container.find("Names"); names && !names->empty()) name = (*names)[0].as_string();
      if (name.starts_with('/')) name.remove_prefix(1);
      text += short_id(container.string_at("Id")) + "\t" +
              (container.string_at("Image").starts_with("sha256:") ? short_id(container.string_at("Image"))
                                                                   : std::string(container.string_at("Image"))) +
              "\t" + quoted(ellipsis(container.string_at("Command"), 20)) + "\t" + std::to_string(volumes) + "\t" +
              human_size(number(container, "SizeRw")) + "\t" + ago(int64_t(number(container, "Created"))) + "\t" +
              std::string(container.string_at("Status")) + "\t" + std::string(name) + "\n";
    }
  std::printf("\nContainers space usage:\n\n%s", align(text).c_str());
  text = "VOLUME NAME\tLINKS\tSIZE\n";
  if (const json::Node* list = df.find("Volumes"))
    for (const json::Node& volume : *list)
      text += std::string(volume.string_at("Name")) + "\t" + std::to_string(int64_t(number(volume, "UsageData", "RefCount"))) + "\t" +
              human_size(std::max(0.0, number(volume, "UsageData", "Size")), 4) + "\n";
  std::printf("\nLocal Volumes space usage:\n\n%s", align(text).c_str());
  std::printf("\nBuild cache usage: %s\n\n", human_size(cache_usage(df).size, 4).c_str());
  text = "CACHE ID\tCACHE TYPE\tSIZE\tCREATED\tLAST USED\tUSAGE\tSHARED\n";
  if (const json::Node* list = df.find("BuildCache"))
    for (const json::Node& each : *list) {
      const auto created = unix_time(each.string_at("CreatedAt")), used = unix_time(each.string_at("LastUsedAt"));
      text += short_id(each.string_at("ID")) + "\t" + std::string(each.string_at("Type")) + "\t" + human_size(number(each, "Size")) + "\t" +
              (created ? ago(created->first) : "") + "\t" + (used ? ago(used->first) : "") + "\t" +
              std::to_string(int64_t(number(each, "UsageCount"))) + "\t" + (truth(each, "Shared") ? "true" : "false") + "\n";
    }
  std::fputs(align(text).c_str(), stdout);
}

// POST to a prune; prints what went, returns the space.
Result<double> prune(Client& client, std::string_view path, const std::vector<std::string>& filter, std::string_view member,
                     std::string_view title) {
  Request request{.method = "POST", .path = std::string(path)};
  if (std::string conditions = TRY(filters(filter)); !conditions.empty()) request.query.add("filters", conditions);
  const json::Document answer = TRY(client.call(std::move(request)));
  if (const json::Node* gone = answer.root().find(member); gone && !gone->empty()) {
    std::printf("%s\n", std::string(title).c_str());
    for (const json::Node& each : *gone) {
      if (each.is_string()) std::printf("%s\n", std::string(each.as_string()).c_str());
      else
        for (const json::Node& what : each) std::printf("%s: %s\n", to_lower(what.key()).c_str(), std::string(what.as_string()).c_str());
    }
    std::puts("");
  }
  return number(answer.root(), "SpaceReclaimed");
}

}  // namespace

Result<int> system_df(Call& call) {
  bool verbose = false;
  std::string format;
  Flags flags(call);
  flags.add("format", &format, "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'");
  flags.add("verbose,v", &verbose, "Show detailed information on space usage");
  TRY(flags.parse());
  const json::Document answer = TRY(TRY(call.cli.client())->call({.path = "/system/df"}));
  if (verbose && format.empty()) print_details(answer.root());
  else if (verbose) std::printf("%s\n", TRY(format_object(TRY(parse_format(format)), answer.root())).c_str());
  else TRY(print_summary(answer.root(), format));
  return 0;
}

Result<int> container_prune(Call& call) {
  bool force = false;
  std::vector<std::string> filter;
  Flags flags(call);
  flags.add("filter", &filter, "Provide filter values (e.g. \"until=<timestamp>\")", "filter");
  flags.add("force,f", &force, "Do not prompt for confirmation");
  TRY(flags.parse());
  if (!force && !confirmed("WARNING! This will remove all stopped containers.\nAre you sure you want to continue?")) return 0;
  const double space = TRY(prune(*TRY(call.cli.client()), "/containers/prune", filter, "ContainersDeleted", "Deleted Containers:"));
  std::printf("Total reclaimed space: %s\n", human_size(space, 4).c_str());
  return 0;
}

Result<int> system_prune(Call& call) {
  bool all = false, force = false, volumes = false;
  std::vector<std::string> filter;
  Flags flags(call);
  flags.add("all,a", &all, "Remove all unused images not just dangling ones");
  flags.add("filter", &filter, "Provide filter values (e.g. \"label=<key>=<value>\")", "filter");
  flags.add("force,f", &force, "Do not prompt for confirmation");
  flags.add("volumes", &volumes, "Prune anonymous volumes");
  TRY(flags.parse());
  std::string warning = "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n";
  if (volumes) warning += "  - all anonymous volumes not used by at least one container\n";
  warning += all ? "  - all images without at least one container associated to them\n  - all build cache\n"
                 : "  - all dangling images\n  - unused build cache\n";
  if (!filter.empty()) {
    warning += "\n  Items to be pruned will be filtered with:\n";
    for (const std::string& each : filter) warning += "  - " + each + "\n";
  }
  if (!force && !confirmed(warning + "\nAre you sure you want to continue?")) return 0;
  Client& client = *TRY(call.cli.client());
  std::vector<std::string> image_filter = filter;
  image_filter.push_back(std::string("dangling=") + (all ? "false" : "true"));
  std::vector<std::string> cache_filter;
  for (const std::string& each : filter)
    if (each.starts_with("until=")) cache_filter.push_back(each);
  double space = TRY(prune(client, "/containers/prune", filter, "ContainersDeleted", "Deleted Containers:"));
  TRY(prune(client, "/networks/prune", filter, "NetworksDeleted", "Deleted Networks:"));
  if (volumes) space += TRY(prune(client, "/volumes/prune", filter, "VolumesDeleted", "Deleted Volumes:"));
  space += TRY(prune(client, "/images/prune", image_filter, "ImagesDeleted", "Deleted Images:"));
  space += TRY(prune(client, all ? "/build/prune?all=1" : "/build/prune", cache_filter, "CachesDeleted", "Deleted build cache objects:"));
  std::printf("Total reclaimed space: %s\n", human_size(space, 4).c_str());
  return 0;
}

// What `ssh HOST docker system dial-stdio` runs: the daemon's socket as stdin and stdout.
Result<int> system_dial_stdio(Call& call) {
  Flags flags(call);
  TRY(flags.parse());
  const Endpoint endpoint = TRY(resolve_endpoint(*TRY(call.cli.config()), call.cli.where));
  std::unique_ptr<Carrier> carrier;
  const Fd fd = TRY(connect_endpoint(endpoint, carrier));
  std::vector<char> bytes(64 * 1024);
  bool input = true;
  for (;;) {
    pollfd waits[2] = {{fd.get(), POLLIN, 0}, {input ? 0 : -1, POLLIN, 0}};
    if (poll(waits, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return fail_errno("poll");
    }
    if (waits[1].revents) {
      const ssize_t n = read(0, bytes.data(), bytes.size());
      if (n <= 0) {
        input = false;
        shutdown(fd.get(), SHUT_WR);
      } else if (!print_bytes(fd.get(), {bytes.data(), size_t(n)})) {
        return 0;
      }
    }
    if (waits[0].revents) {
      const ssize_t n = read(fd.get(), bytes.data(), bytes.size());
      if (n <= 0 || !print_bytes(1, {bytes.data(), size_t(n)})) return 0;
    }
  }
}

}  // namespace estiba::cli::docker
