#include "cli/compose/context.h"

#include <algorithm>
#include <cstdio>

#include "base/strings.h"
#include "cli/compose/body.h"
#include "cli/docker/json_build.h"
#include "cli/docker/session.h"

namespace estiba::cli::compose {

using docker::Client;
using docker::Request;
using docker::segment;
using json::Node;

Result<Project> Context::load(const std::vector<std::string>& targets) {
  options.targets = targets;
  Project project = TRY(load_project(options));
  if (!quiet)
    for (const auto& warning : project.warnings) docker::complain("WARN[0000] " + warning);
  return project;
}

Result<Project> Context::load_or_name(const std::vector<std::string>& targets) {
  auto project = load(targets);
  if (project || project.error().code != Code::not_found || options.name.empty() || !options.files.empty()) return project;
  Project named;
  named.name = options.name;
  named.directory = options.working_directory;
  Node& root = named.document.make_object();
  named.document.set(root, "services", named.document.make_object());
  // Services are known from the containers alone.
  for (const auto& member : TRY(members(*TRY(client()), named.name, true)))
    if (!root.find("services")->find(member.service))
      named.document.set(*root.find("services"), member.service, named.document.make_object());
  named.document.set_root(root);
  return named;
}

void Context::tell(std::string_view kind, std::string_view name, std::string_view what) const {
  if (quiet) return;
  std::fflush(stdout);
  if (progress) return progress->tell(kind, name, what);
  std::fprintf(stderr, "%s %.*s %.*s  %.*s\n", dry_run ? " DRY-RUN MODE - " : "", int(kind.size()), kind.data(), int(name.size()),
               name.data(), int(what.size()), what.data());
}

void Context::say(std::string_view line) const {
  settle();
  if (!quiet) docker::complain(line);
}

Result<int> Context::run_verb(std::string_view name, const std::vector<std::string>& arguments) {
  for (const docker::Verb& verb : docker::docker_verbs()) {
    const auto names = split(verb.names, '|');
    if (std::find(names.begin(), names.end(), name) == names.end()) continue;
    settle();
    docker::Call inner{call.cli, verb, std::string(call.cli.program()) + " " + std::string(name),
                       Arguments(arguments.begin(), arguments.end())};
    return verb.run(inner);
  }
  return fail(Code::unsupported, "this program has no verb " + std::string(name));
}

std::vector<std::string> strings(const Arguments& arguments) { return {arguments.begin(), arguments.end()}; }

std::string label_filter(const std::vector<std::string>& labels) {
  docker::Builder filter;
  for (const auto& each : labels) filter.append("label", each);
  return filter.text();
}

Result<std::vector<Member>> members(Client& client, std::string_view project, bool one_offs) {
  Request request{.path = "/containers/json"};
  request.query.add("all", "1");
  request.query.add("filters", label_filter({std::string(label::project) + "=" + std::string(project)}));
  const json::Document answer = TRY(client.call(std::move(request)));
  std::vector<Member> out;
  for (const Node& container : answer.root()) {
    auto labelled = [&](std::string_view name) { return std::string(container.string_at("Labels", name)); };
    Member member;
    member.id = container.string_at("Id");
    if (const Node* names = container.find("Names"))
      for (const Node& each : *names)
        if (std::string_view name = each.as_string(); name.rfind('/') == 0) member.name = name.substr(1);
    member.service = labelled(label::service);
    member.state = container.string_at("State");
    member.image = container.string_at("Image");
    member.image_id = container.string_at("ImageID");
    member.hash = labelled(label::hash);
    member.number = parse_number<int64_t>(labelled(label::number)).value_or(0);
    member.one_off = labelled(label::one_off) == "True";
    if (!member.one_off || one_offs) out.push_back(std::move(member));
  }
  std::sort(out.begin(), out.end(), [](const Member& a, const Member& b) {
    return std::tie(a.service, a.one_off, a.number, a.name) < std::tie(b.service, b.one_off, b.number, b.name);
  });
  return out;
}

std::vector<Member> of_services(std::vector<Member> all, const std::vector<std::string>& services) {
  if (!services.empty())
    std::erase_if(all, [&](const Member& member) { return std::find(services.begin(), services.end(), member.service) == services.end(); });
  return all;
}

Result<Member> find_member(Client& client, const Project& project, std::string_view service, int64_t index, bool must_run) {
  TRY(project.check_services({std::string(service)}));
  for (const auto& member : TRY(members(client, project.name))) {
    if (member.service != service || (index && member.number != index)) continue;
    if (!must_run || member.running()) return member;
  }
  const std::string which = quoted(service) + (index ? " container #" + std::to_string(index) : "");
  return fail(Code::not_found, "service " + which + " is not running; start it with 'compose up -d " + std::string(service) + "'");
}

Result<void> stop_member(Context& context, const Member& member, std::optional<int64_t> timeout) {
  if (!member.running()) return {};
  context.tell("Container", member.name, "Stopping");
  if (context.dry_run) return {};
  Request request{.method = "POST", .path = "/containers/" + segment(member.id) + "/stop"};
  if (timeout) request.query.add("t", std::to_string(*timeout));
  auto stopped = TRY(context.client())->text(std::move(request));
  if (!stopped && stopped.error().code != Code::not_found) return std::unexpected(std::move(stopped.error()));
  context.tell("Container", member.name, "Stopped");
  return {};
}

Result<void> start_member(Context& context, const Member& member) {
  if (member.running()) return {};
  context.tell("Container", member.name, "Starting");
  if (context.dry_run) return {};
  TRY(TRY(context.client())->text({.method = "POST", .path = "/containers/" + segment(member.id) + "/start"}));
  context.tell("Container", member.name, "Started");
  return {};
}

Result<void> remove_member(Context& context, const Member& member, bool volumes, bool force) {
  context.tell("Container", member.name, "Removing");
  if (context.dry_run) return {};
  Request request{.method = "DELETE", .path = "/containers/" + segment(member.id)};
  if (volumes) request.query.add("v", "1");
  if (force) request.query.add("force", "1");
  auto removed = TRY(context.client())->text(std::move(request));
  if (!removed && removed.error().code != Code::not_found) return std::unexpected(std::move(removed.error()));
  context.tell("Container", member.name, "Removed");
  return {};
}

}  // namespace estiba::cli::compose
