// compose ps, logs, top, port, ls, events, stats, config, version: what shows and changes nothing.
#include <algorithm>
#include <cstdio>
#include <map>

#include "base/strings.h"
#include "cli/compose/body.h"
#include "cli/compose/commands.h"
#include "cli/compose/context.h"
#include "cli/compose/follow.h"
#include "cli/docker/format.h"
#include "cli/docker/json_build.h"
#include "cli/docker/session.h"
#include "cli/docker/times.h"

namespace estiba::cli::docker {
std::string display_ports(const json::Node* ports);
}

namespace estiba::cli::compose {
namespace {

using docker::Client;
using docker::Request;
using docker::segment;
using json::Node;

std::string name_of(const Node& container) {
  if (const Node* names = container.find("Names"))
    for (const Node& each : *names)
      if (std::string_view name = each.as_string(); name.rfind('/') == 0) return std::string(name.substr(1));
  return "";
}

int64_t number(const Node& node, std::string_view key) {
  const Node* found = node.find(key);
  return found ? found->as_int().value_or(0) : 0;
}

void ps_row(const Node& container, docker::Listing& listing, Node& row) {
  auto labelled = [&](std::string_view name) { return std::string(container.string_at("Labels", name)); };
  listing.set(row, "Command", quoted(docker::ellipsis(container.string_at("Command"), 20)));
  listing.set(row, "CreatedAt", docker::go_time(number(container, "Created")));
  std::string health;
  const std::string status(container.string_at("Status"));
  if (status.ends_with("(healthy)")) health = "healthy";
  if (status.ends_with("(unhealthy)")) health = "unhealthy";
  if (status.ends_with("(health: starting)")) health = "starting";
  listing.set(row, "Health", health);
  listing.set(row, "ID", docker::short_id(container.string_at("Id")));
  listing.set(row, "Image", container.string_at("Image"));
  listing.set(row, "Name", name_of(container));
  listing.set(row, "Names", name_of(container));
  listing.set(row, "Ports", docker::display_ports(container.find("Ports")));
  listing.set(row, "Project", labelled(label::project));
  if (const Node* ports = container.find("Ports")) listing.document().add(row, "Publishers", listing.document().copy(*ports));
  listing.set(row, "RunningFor", docker::ago(number(container, "Created")));
  listing.set(row, "Service", labelled(label::service));
  listing.set(row, "State", container.string_at("State"));
  listing.set(row, "Status", status);
}

Result<json::Document> list_containers(Client& client, const std::string& project, bool all) {
  Request request{.path = "/containers/json"};
  if (all) request.query.add("all", "1");
  request.query.add("filters", label_filter({std::string(label::project) + "=" + project}));
  return client.call(std::move(request));
}

}  // namespace

Result<int> ps(Context& context) {
  bool all = false, quiet = false, services = false, orphans = true, no_trunc = false;
  std::string format;
  std::vector<std::string> filter, status;
  docker::Flags flags(context.call);
  flags.add("all,a", &all, "Show all stopped containers (including those created by the run command)");
  flags.add("filter", &filter, "Filter services by a property (supported filters: status)");
  flags.add("format", &format, "Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'");
  flags.add("no-trunc", &no_trunc, "Accepted");
  flags.hide();
  flags.add("orphans", &orphans, "Include orphaned services (not declared by project)");
  flags.add("quiet,q", &quiet, "Only display IDs");
  flags.add("services", &services, "Display services");
  flags.add("status", &status, "Filter services by status. Values: [paused | restarting | removing | running | dead | created | exited]");
  const auto names = strings(TRY(flags.parse()));
  for (const auto& each : filter) {
    auto [key, value] = split_once(each, '=');
    if (key != "status" || !value) return fail(Code::invalid, "invalid filter " + quoted(each) + ": status=VALUE is expected");
    status.emplace_back(*value);
  }
  const Project project = TRY(context.load_or_name(names));
  TRY(project.check_services(names));
  const json::Document answer = TRY(list_containers(*TRY(context.client()), project.name, all || !status.empty()));
  docker::Listing listing("*formatter.ContainerContext", {{"Name", "NAME"},
                                                          {"Image", "IMAGE"},
                                                          {"Command", "COMMAND"},
                                                          {"Service", "SERVICE"},
                                                          {"RunningFor", "CREATED"},
                                                          {"Status", "STATUS"},
                                                          {"Ports", "PORTS"},
                                                          {"ID", "CONTAINER ID"},
                                                          {"State", "STATE"},
                                                          {"Health", "HEALTH"},
                                                          {"CreatedAt", "CREATED AT"},
                                                          {"Project", "PROJECT"}});
  TRY(listing.start(format, false, "{{.Name}}\t{{.Image}}\t{{.Command}}\t{{.Service}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}",
                    "{{.ID}}"));
  std::vector<const Node*> rows;
  for (const Node& container : answer.root()) {
    const std::string_view service = container.string_at("Labels", label::service);
    auto listed = [](const std::vector<std::string>& list, std::string_view text) {
      return list.empty() || std::find(list.begin(), list.end(), text) != list.end();
    };
    if (!listed(names, service) || !listed(status, container.string_at("State"))) continue;
    if (!all && container.string_at("Labels", label::one_off) == "True") continue;
    if (!orphans && !project.service(service)) continue;
    rows.push_back(&container);
  }
  std::sort(rows.begin(), rows.end(), [](const Node* a, const Node* b) { return name_of(*a) < name_of(*b); });
  std::vector<std::string> seen;
  for (const Node* container : rows) {
    const std::string service(container->string_at("Labels", label::service));
    if (quiet) std::printf("%s\n", std::string(container->string_at("Id")).c_str());
    if (services && std::find(seen.begin(), seen.end(), service) == seen.end()) std::printf("%s\n", seen.emplace_back(service).c_str());
    if (quiet || services) continue;
    Node& row = listing.row();
    ps_row(*container, listing, row);
    TRY(listing.add(row, container->find("Labels")));
  }
  if (!quiet && !services) std::fputs(TRY(listing.finish()).c_str(), stdout);
  return 0;
}

Result<int> logs(Context& context) {
  FollowOptions options{.follow = false};
  bool no_color = false, no_prefix = false;
  int64_t index = 0;
  std::string since, until;
  docker::Flags flags(context.call);
  flags.add("follow,f", &options.follow, "Follow log output");
  flags.add("index", &index, "index of the container if service has multiple replicas");
  flags.add("no-color", &no_color, "Produce monochrome output");
  flags.add("no-log-prefix", &no_prefix, "Don't print prefix in logs");
  flags.add("since", &since, "Show logs since timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)");
  flags.add("tail,n", &options.tail, "Number of lines to show from the end of the logs for each container");
  flags.add("timestamps,t", &options.timestamps, "Show timestamps");
  flags.add("until", &until, "Show logs before a timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)");
  const auto names = strings(TRY(flags.parse()));
  if (no_color) context.colour = false;
  options.prefix = !no_prefix;
  if (!since.empty()) options.since = TRY_AS("invalid value for \"since\"", docker::api_timestamp(since));
  if (!until.empty()) options.until = TRY_AS("invalid value for \"until\"", docker::api_timestamp(until));
  const Project project = TRY(context.load_or_name(names));
  TRY(project.check_services(names));
  options.project = project.name;
  auto all = of_services(TRY(members(*TRY(context.client()), project.name)), names);
  if (index) std::erase_if(all, [&](const Member& member) { return member.number != index; });
  auto follower = TRY(Follower::start(context, all, options));
  follower->join();
  if (const std::string error = follower->error(); !error.empty()) return fail(Code::unavailable, error);
  return 0;
}

Result<int> top(Context& context) {
  docker::Flags flags(context.call);
  const auto names = strings(TRY(flags.parse()));
  const Project project = TRY(context.load_or_name(names));
  TRY(project.check_services(names));
  Client& client = *TRY(context.client());
  for (const auto& member : of_services(TRY(members(client, project.name)), names)) {
    if (!member.running()) continue;
    const json::Document answer = TRY(client.call({.path = "/containers/" + segment(member.id) + "/top"}));
    std::string table;
    auto line = [&](const Node* cells) {
      if (!cells) return;
      bool first = true;
      for (const Node& cell : *cells) table += (std::exchange(first, false) ? "" : "\t") + std::string(cell.as_string());
      table += "\n";
    };
    line(answer.root().find("Titles"));
    if (const Node* processes = answer.root().find("Processes"))
      for (const Node& process : *processes) line(&process);
    std::printf("%s\n%s\n", member.name.c_str(), docker::align(table, 4, 3).c_str());
  }
  return 0;
}

Result<int> port(Context& context) {
  int64_t index = 0;
  std::string protocol = "tcp";
  docker::Flags flags(context.call);
  flags.add("index", &index, "Index of the container if service has multiple replicas");
  flags.add("protocol", &protocol, "tcp or udp");
  const auto words = strings(TRY(flags.parse()));
  const Project project = TRY(context.load_or_name({words[0]}));
  Client& client = *TRY(context.client());
  const Member member = TRY(find_member(client, project, words[0], index));
  const json::Document container = TRY(client.call({.path = "/containers/" + segment(member.id) + "/json"}));
  const Node* bindings = container.root().at("NetworkSettings", "Ports", words[1] + "/" + protocol);
  if (!bindings || bindings->empty())
    return fail(Code::not_found, "no port " + words[1] + "/" + protocol + " for container " + member.name);
  const std::string address((*bindings)[0].string_at("HostIp"));
  std::printf("%s:%s\n", address.find(':') == std::string::npos ? address.c_str() : ("[" + address + "]").c_str(),
              std::string((*bindings)[0].string_at("HostPort")).c_str());
  return 0;
}

Result<int> ls(Context& context) {
  bool all = false, quiet = false;
  std::string format;
  std::vector<std::string> filter;
  docker::Flags flags(context.call);
  flags.add("all,a", &all, "Show all stopped Compose projects");
  flags.add("filter", &filter, "Filter output based on conditions provided");
  flags.add("format", &format, "Format output. Values: [table | json]");
  flags.add("quiet,q", &quiet, "Only display project names");
  TRY(flags.parse());
  Request request{.path = "/containers/json"};
  request.query.add("all", "1");
  request.query.add("filters", label_filter({std::string(label::project)}));
  const json::Document answer = TRY(TRY(context.client())->call(std::move(request)));
  struct Line {
    std::map<std::string, int> states;
    std::string files;
  };
  std::map<std::string, Line> projects;
  for (const Node& container : answer.root()) {
    Line& line = projects[std::string(container.string_at("Labels", label::project))];
    ++line.states[std::string(container.string_at("State"))];
    if (line.files.empty()) line.files = container.string_at("Labels", label::files);
  }
  std::string table = "NAME\tSTATUS\tCONFIG FILES\n";
  docker::Builder list;
  for (const auto& [name, line] : projects) {
    if (!all && !line.states.contains("running")) continue;
    bool wanted = true;
    for (const auto& each : filter)
      if (auto [key, value] = split_once(each, '='); key == "name" && value) wanted = wanted && name.find(*value) != std::string::npos;
    if (!wanted) continue;
    std::string status;
    for (const auto& [state, count] : line.states) status += (status.empty() ? "" : ", ") + state + "(" + std::to_string(count) + ")";
    if (quiet) std::printf("%s\n", name.c_str());
    table += name + "\t" + status + "\t" + line.files + "\n";
    list.append("rows").set("Name", name).set("Status", status).set("ConfigFiles", line.files);
  }
  if (quiet) return 0;
  const Node* rows = list.node().find("rows");
  if (format == "json") std::printf("%s\n", rows ? json::print(*rows).c_str() : "[]");
  else std::fputs(docker::align(table).c_str(), stdout);
  return 0;
}

Result<int> events(Context& context) {
  bool as_json = false;
  std::string since, until;
  docker::Flags flags(context.call);
  flags.add("json", &as_json, "Output events as a stream of json objects");
  flags.add("since", &since, "Show all events created since timestamp");
  flags.add("until", &until, "Stream events until this timestamp");
  const auto names = strings(TRY(flags.parse()));
  const Project project = TRY(context.load_or_name(names));
  TRY(project.check_services(names));
  std::vector<std::string> words{"--filter", "type=container", "--filter", "label=" + std::string(label::project) + "=" + project.name};
  for (const auto& name : names) words.insert(words.end(), {"--filter", "label=" + std::string(label::service) + "=" + name});
  if (!since.empty()) words.insert(words.end(), {"--since", since});
  if (!until.empty()) words.insert(words.end(), {"--until", until});
  if (as_json) words.insert(words.end(), {"--format", "json"});
  return context.run_verb("events", words);
}

Result<int> stats(Context& context) {
  bool all = false, no_stream = false, no_trunc = false;
  std::string format;
  docker::Flags flags(context.call);
  flags.add("all,a", &all, "Show all containers (default shows just running)");
  flags.add("format", &format, "Format output using a custom template");
  flags.add("no-stream", &no_stream, "Disable streaming stats and only pull the first result");
  flags.add("no-trunc", &no_trunc, "Do not truncate output");
  const auto names = strings(TRY(flags.parse()));
  const Project project = TRY(context.load_or_name(names));
  TRY(project.check_services(names));
  std::vector<std::string> words;
  if (no_stream) words.emplace_back("--no-stream");
  if (no_trunc) words.emplace_back("--no-trunc");
  if (!format.empty()) words.insert(words.end(), {"--format", format});
  const size_t flags_only = words.size();
  for (const auto& member : of_services(TRY(members(*TRY(context.client()), project.name)), names))
    if (all || member.running()) words.push_back(member.name);
  if (words.size() == flags_only)
    return fail(Code::not_found, "no running containers for project " + quoted(project.name) + "; start them with 'compose up -d'");
  return context.run_verb("stats", words);
}

Result<int> version(Context& context) {
  bool short_form = false;
  std::string format;
  docker::Flags flags(context.call);
  flags.add("format,f", &format, "Format the output. Values: [pretty | json]");
  flags.add("short", &short_form, "Shows only Compose's version number");
  TRY(flags.parse());
  const std::string text(compose_version);
  if (short_form) std::printf("%s\n", text.c_str());
  else if (format == "json") std::printf("{\"version\":\"v%s\"}\n", text.c_str());
  else std::printf("Docker Compose version v%s\n", text.c_str());
  return 0;
}

}  // namespace estiba::cli::compose
