// docker ps.
#include <cstdio>

#include "base/strings.h"
#include "cli/docker/format.h"
#include "cli/docker/session.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"

namespace estiba::cli::docker {

std::string display_ports(const json::Node* ports);

namespace {

struct PublishedPort {
  std::string address, protocol;
  int64_t inside = 0, outside = 0;
};

// "0.0.0.0:8000-8002->80-82/tcp": ports of one address and protocol that follow each other, inside and outside, are one entry.
std::string show_range(const PublishedPort& first, const PublishedPort& last) {
  auto range = [](int64_t a, int64_t b) { return a == b ? std::to_string(a) : std::to_string(a) + "-" + std::to_string(b); };
  std::string out;
  if (first.outside) {
    const std::string address = first.address.contains(':') ? "[" + first.address + "]" : first.address;
    out = address + ":" + range(first.outside, last.outside) + "->";
  }
  return out + range(first.inside, last.inside) + "/" + first.protocol;
}

std::string label_list(const json::Node* labels) {
  std::vector<std::string> out;
  if (labels)
    for (const json::Node& label : *labels) out.push_back(std::string(label.key()) + "=" + std::string(label.as_string()));
  std::sort(out.begin(), out.end());
  return join(out, ",");
}

int64_t number(const json::Node& node, std::string_view member) {
  const json::Node* found = node.find(member);
  return found ? found->as_int().value_or(0) : 0;
}

std::string names(const json::Node& container, bool whole) {
  std::vector<std::string> out;
  if (const json::Node* list = container.find("Names"))
    for (const json::Node& each : *list) {
      std::string_view name = each.as_string();
      if (name.starts_with('/')) name.remove_prefix(1);
      if (whole || !name.contains('/')) out.emplace_back(name);  // names with a slash are links
    }
  return join(out, ",");
}

std::string mounts(const json::Node& container, bool whole) {
  std::vector<std::string> out;
  if (const json::Node* list = container.find("Mounts"))
    for (const json::Node& each : *list) {
      const std::string_view name = each.string_at("Name");
      std::string text(name.empty() ? each.string_at("Source") : name);
      out.push_back(whole ? text : ellipsis(text, 15));
    }
  return join(out, ",");
}

std::string networks(const json::Node& container) {
  std::vector<std::string> out;
  if (const json::Node* list = container.at("NetworkSettings", "Networks"))
    for (const json::Node& each : *list) out.emplace_back(each.key());
  return join(out, ",");
}

void fill(Listing& listing, json::Node& row, const json::Node& container, bool whole) {
  const std::string_view id = container.string_at("Id");
  const int64_t created = number(container, "Created");
  std::string image(container.string_at("Image"));
  if (image.empty()) image = "<no image>";
  else if (!whole && image.starts_with("sha256:")) image = short_id(image);
  else if (!whole) image = image.substr(0, image.find('@'));
  std::string command(container.string_at("Command"));
  if (!whole) command = ellipsis(command, 20);
  std::string size = human_size(double(number(container, "SizeRw")));
  if (const int64_t total = number(container, "SizeRootFs"); total > 0) size += " (virtual " + human_size(double(total)) + ")";
  const json::Node* labels = container.find("Labels");
  listing.set(row, "Command", quoted(command));
  listing.set(row, "CreatedAt", go_time(created));
  listing.set(row, "ID", whole ? std::string(id) : short_id(id));
  listing.set(row, "Image", image);
  listing.set(row, "Labels", label_list(labels));
  listing.set(row, "LocalVolumes", std::to_string([&] {
                int64_t count = 0;
                if (const json::Node* list = container.find("Mounts"))
                  for (const json::Node& each : *list) count += each.string_at("Driver") == "local";
                return count;
              }()));
  listing.set(row, "Mounts", mounts(container, whole));
  listing.set(row, "Names", names(container, whole));
  listing.set(row, "Networks", networks(container));
  listing.document().add(row, "Platform", listing.document().make_null());
  listing.set(row, "Ports", display_ports(container.find("Ports")));
  listing.set(row, "RunningFor", ago(created));
  listing.set(row, "Size", size);
  listing.set(row, "State", container.string_at("State"));
  listing.set(row, "Status", container.string_at("Status"));
}

}  // namespace

std::string display_ports(const json::Node* ports) {
  std::vector<PublishedPort> all;
  if (ports)
    for (const json::Node& each : *ports)
      all.push_back({std::string(each.string_at("IP")), std::string(each.string_at("Type")), number(each, "PrivatePort"),
                     number(each, "PublicPort")});
  auto key = [](const PublishedPort& p) { return std::tuple(p.inside, p.outside == 0 ? std::string() : p.address, p.outside, p.protocol); };
  std::sort(all.begin(), all.end(), [&](const PublishedPort& a, const PublishedPort& b) { return key(a) < key(b); });
  // Runs by address and protocol, each in the place of its first port; those that are only exposed first run together.
  std::vector<std::pair<PublishedPort, PublishedPort>> runs;
  for (const PublishedPort& port : all) {
    auto follows = [&](const std::pair<PublishedPort, PublishedPort>& run) {
      const PublishedPort& last = run.second;
      if (last.address != port.address || last.protocol != port.protocol || (last.outside == 0) != (port.outside == 0)) return false;
      return port.inside == last.inside + 1 && (port.outside == 0 || port.outside == last.outside + 1);
    };
    auto run = std::find_if(runs.begin(), runs.end(), follows);
    if (run != runs.end()) run->second = port;
    else runs.emplace_back(port, port);
  }
  std::vector<std::string> out;
  for (const auto& [first, last] : runs) out.push_back(show_range(first, last));
  return join(out, ", ");
}

Result<int> ps(Call& call) {
  bool all = false, latest = false, whole = false, quiet = false, size = false;
  int64_t last = -1;
  std::string format;
  std::vector<std::string> filter;
  Flags flags(call);
  flags.add("all,a", &all, "Show all containers (default shows just running)");
  flags.add("filter,f", &filter, "Filter output based on conditions provided", "filter");
  flags.add("format", &format, "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'");
  flags.add("last,n", &last, "Show n last created containers (includes all states)");
  flags.add("latest,l", &latest, "Show the latest created container (includes all states)");
  flags.add("no-trunc", &whole, "Don't truncate output");
  flags.add("quiet,q", &quiet, "Only display container IDs");
  flags.add("size,s", &size, "Display total file sizes");
  TRY(flags.parse());
  if (latest && last == -1) last = 1;
  if (format.empty() && !quiet) format = TRY(call.cli.config())->text("psFormat");
  if (!size && format.contains(".Size")) size = true;
  Listing listing("*formatter.ContainerContext", {{"ID", "CONTAINER ID"},
                                                  {"Names", "NAMES"},
                                                  {"Image", "IMAGE"},
                                                  {"Command", "COMMAND"},
                                                  {"CreatedAt", "CREATED AT"},
                                                  {"RunningFor", "CREATED"},
                                                  {"Ports", "PORTS"},
                                                  {"State", "STATE"},
                                                  {"Status", "STATUS"},
                                                  {"Size", "SIZE"},
                                                  {"Labels", "LABELS"},
                                                  {"Mounts", "MOUNTS"},
                                                  {"LocalVolumes", "LOCAL VOLUMES"},
                                                  {"Networks", "NETWORKS"},
                                                  {"Platform", "PLATFORM"}});
  TRY(listing.start(format, quiet,
                    size ? "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}"
                         : "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
                    "{{.ID}}"));
  Request request{.path = "/containers/json"};
  if (all) request.query.add("all", "1");
  if (last != -1) request.query.add("limit", std::to_string(last));
  if (size) request.query.add("size", "1");
  if (std::string conditions = TRY(filters(filter)); !conditions.empty()) request.query.add("filters", conditions);
  const json::Document answer = TRY(TRY(call.cli.client())->call(std::move(request)));
  for (const json::Node& container : answer.root()) {
    json::Node& row = listing.row();
    fill(listing, row, container, whole);
    TRY(listing.add(row, container.find("Labels")));
  }
  std::fputs(TRY(listing.finish()).c_str(), stdout);
  return 0;
}

}  // namespace estiba::cli::docker
