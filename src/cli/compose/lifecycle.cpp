// compose down, start, stop, restart, kill, rm, pause, unpause, wait: what changes containers that are there.
#include <algorithm>
#include <cstdio>
#include <set>

#include "base/strings.h"
#include "cli/compose/commands.h"
#include "cli/compose/converge.h"
#include "cli/compose/order.h"
#include "cli/docker/session.h"

namespace estiba::cli::compose {
namespace {

using docker::Request;
using docker::segment;

/// The services' containers, dependents before what they depend on when `reversed`.
Result<std::vector<Member>> ordered(Context& context, const Project& project, const std::vector<std::string>& names, bool reversed,
                                    bool one_offs = false) {
  TRY(project.check_services(names));
  auto order = start_order(project, names, false);
  if (reversed) std::reverse(order.begin(), order.end());
  const auto all = TRY(members(*TRY(context.client()), project.name, one_offs));
  std::vector<Member> out;
  for (const auto& name : order)
    for (const auto& member : all)
      if (member.service == name) out.push_back(member);
  // Services that no file names any more, or that a profile disables.
  if (names.empty())
    for (const auto& member : all)
      if (std::find(order.begin(), order.end(), member.service) == order.end()) out.push_back(member);
  return out;
}

/// Does `step` with each container, services at once as far as their dependencies let them.
Result<void> each_in_order(Context& context, const Project& project, const std::vector<Member>& all, Direction direction,
                           const std::function<Result<void>(Context&, const Member&)>& step) {
  std::vector<std::string> services;
  for (const auto& member : all)
    if (std::find(services.begin(), services.end(), member.service) == services.end()) services.push_back(member.service);
  return in_order(context, project, services, direction, [&](Context& own, const std::string& service) -> Result<void> {
    for (const auto& member : all)
      if (member.service == service) TRY(step(own, member));
    return {};
  });
}

Result<void> act(Context& context, const Member& member, const char* action, const char* doing, const char* done, io::Query query = {}) {
  context.tell("Container", member.name, doing);
  if (context.dry_run) return {};
  TRY(TRY(context.client())
          ->text({.method = "POST", .path = "/containers/" + segment(member.id) + "/" + action, .query = std::move(query)}));
  context.tell("Container", member.name, done);
  return {};
}

Result<void> remove_images(Context& context, const Project& project, const std::vector<Member>& gone, const std::string& which) {
  std::set<std::string> names;
  for (const json::Node& service : project.services())
    if (which == "all" || service.string_at("image").empty())
      if (service.find("build") || service.find("image")) names.insert(image_of(project, service));
  if (which == "all")
    for (const auto& member : gone) names.insert(member.image);
  docker::Client& client = *TRY(context.client());
  for (const auto& name : names) {
    context.tell("Image", name, "Removing");
    if (context.dry_run) continue;
    auto removed = client.text({.method = "DELETE", .path = "/images/" + segment(name)});
    if (removed) context.tell("Image", name, "Removed");
    else if (removed.error().code == Code::conflict) context.tell("Image", name, "Resource is still in use");
    else if (removed.error().code != Code::not_found) return std::unexpected(std::move(removed.error()));
  }
  return {};
}

}  // namespace

Result<int> down(Context& context) {
  bool orphans = false, volumes = false;
  std::string images;
  int64_t timeout = 0;
  docker::Flags flags(context.call);
  flags.add("remove-orphans", &orphans, "Remove containers for services not defined in the Compose file");
  flags.add("rmi", &images,
            "Remove images used by services. \"local\" remove only images that don't have a custom tag (\"local\"|\"all\")");
  flags.add("timeout,t", &timeout, "Specify a shutdown timeout in seconds");
  flags.add("volumes,v", &volumes,
            "Remove named volumes declared in the \"volumes\" section of the Compose file and anonymous volumes attached to containers");
  const auto names = strings(TRY(flags.parse()));
  if (!images.empty() && images != "local" && images != "all")
    return fail(Code::invalid, "invalid value for --rmi: " + quoted(images) + "; local or all is expected");
  context.options.profiles.emplace_back("*");  // what a profile started goes too
  const Project project = TRY(context.load_or_name(names));
  std::optional<int64_t> limit;
  if (flags.given("timeout")) limit = timeout;
  auto all = TRY(ordered(context, project, names, true, true));
  std::vector<Member> gone;
  for (const auto& member : all)
    if (project.service(member.service) || orphans) gone.push_back(member);
  TRY(each_in_order(context, project, gone, Direction::reverse, [&](Context& own, const Member& member) -> Result<void> {
    TRY(stop_member(own, member, limit));
    return remove_member(own, member, volumes, true);
  }));
  if (!names.empty()) return 0;
  if (!orphans) TRY(treat_orphans(context, project, false));
  if (volumes) TRY(remove_volumes(context, project));
  if (!images.empty()) TRY(remove_images(context, project, gone, images));
  TRY(remove_networks(context, project));
  return 0;
}

Result<int> start(Context& context) {
  bool wait = false;
  int64_t wait_timeout = 0;
  docker::Flags flags(context.call);
  flags.add("wait", &wait, "Wait for services to be running|healthy. Implies detached mode");
  flags.add("wait-timeout", &wait_timeout, "Maximum duration in seconds to wait");
  const auto names = strings(TRY(flags.parse()));
  const Project project = TRY(context.load_or_name(names));
  const auto all = TRY(ordered(context, project, names, false));
  for (const auto& name : names)
    if (std::none_of(all.begin(), all.end(), [&](const Member& m) { return m.service == name; }))
      return fail(Code::not_found, "service " + quoted(name) + " has no container to start; make it with 'compose up'");
  TRY(each_in_order(context, project, all, Direction::forward, [&](Context& own, const Member& member) -> Result<void> {
    if (const json::Node* service = project.service(member.service)) TRY(wait_for_dependencies(own, project, *service));
    return start_member(own, member);
  }));
  if (wait) TRY(wait_until_ready(context, project, names, wait_timeout));
  return 0;
}

Result<int> stop(Context& context) {
  int64_t timeout = 0;
  docker::Flags flags(context.call);
  flags.add("timeout,t", &timeout, "Specify a shutdown timeout in seconds");
  const auto names = strings(TRY(flags.parse()));
  const Project project = TRY(context.load_or_name(names));
  const auto all = TRY(ordered(context, project, names, true));
  TRY(each_in_order(context, project, all, Direction::reverse, [&](Context& own, const Member& member) {
    return stop_member(own, member, flags.given("timeout") ? std::optional(timeout) : std::nullopt);
  }));
  return 0;
}

Result<int> restart(Context& context) {
  int64_t timeout = 0;
  bool no_deps = false;
  docker::Flags flags(context.call);
  flags.add("no-deps", &no_deps, "Don't restart dependent services");
  flags.add("timeout,t", &timeout, "Specify a shutdown timeout in seconds");
  const auto names = strings(TRY(flags.parse()));
  const Project project = TRY(context.load_or_name(names));
  TRY(project.check_services(names));
  std::vector<std::string> wanted = names;
  // Who depends on one of them with restart: true goes along.
  if (!names.empty() && !no_deps)
    for (const json::Node& service : project.services())
      if (const json::Node* depends = service.find("depends_on"))
        for (const json::Node& each : *depends) {
          const json::Node* flag = each.find("restart");
          const bool along = flag && flag->as_bool() && std::find(names.begin(), names.end(), each.key()) != names.end();
          if (along && std::find(wanted.begin(), wanted.end(), service.key()) == wanted.end()) wanted.emplace_back(service.key());
        }
  for (const auto& member : TRY(ordered(context, project, wanted, false))) {
    io::Query query;
    if (flags.given("timeout")) query.add("t", std::to_string(timeout));
    TRY(act(context, member, "restart", "Restarting", "Started", std::move(query)));
  }
  return 0;
}

Result<int> kill(Context& context) {
  std::string signal = "SIGKILL";
  bool orphans = false;
  docker::Flags flags(context.call);
  flags.add("remove-orphans", &orphans, "Remove containers for services not defined in the Compose file");
  flags.add("signal,s", &signal, "SIGNAL to send to the container");
  const auto names = strings(TRY(flags.parse()));
  const Project project = TRY(context.load_or_name(names));
  for (const auto& member : TRY(ordered(context, project, names, true))) {
    if (!member.running()) continue;
    io::Query query;
    query.add("signal", signal);
    TRY(act(context, member, "kill", "Killing", "Killed", std::move(query)));
  }
  if (orphans) TRY(treat_orphans(context, project, true));
  return 0;
}

Result<int> pause(Context& context) {
  docker::Flags flags(context.call);
  const auto names = strings(TRY(flags.parse()));
  const Project project = TRY(context.load_or_name(names));
  for (const auto& member : TRY(ordered(context, project, names, true)))
    if (member.state == "running") TRY(act(context, member, "pause", "Pausing", "Paused"));
  return 0;
}

Result<int> unpause(Context& context) {
  docker::Flags flags(context.call);
  const auto names = strings(TRY(flags.parse()));
  const Project project = TRY(context.load_or_name(names));
  for (const auto& member : TRY(ordered(context, project, names, false)))
    if (member.state == "paused") TRY(act(context, member, "unpause", "Unpausing", "Unpaused"));
  return 0;
}

Result<int> rm(Context& context) {
  bool force = false, stop_first = false, volumes = false, all = false;
  docker::Flags flags(context.call);
  flags.add("all,a", &all, "Accepted");
  flags.hide();
  flags.add("force,f", &force, "Don't ask to confirm removal");
  flags.add("stop,s", &stop_first, "Stop the containers, if required, before removing");
  flags.add("volumes,v", &volumes, "Remove any anonymous volumes attached to containers");
  const auto names = strings(TRY(flags.parse()));
  const Project project = TRY(context.load_or_name(names));
  std::vector<Member> doomed;
  std::string list;
  for (auto& member : TRY(ordered(context, project, names, true, true))) {
    if (stop_first) TRY(stop_member(context, member, std::nullopt));
    if (!stop_first && member.running()) continue;
    list += (list.empty() ? "" : ", ") + member.name;
    doomed.push_back(std::move(member));
  }
  if (doomed.empty()) {
    docker::complain("No stopped containers");
    return 0;
  }
  if (!force && !docker::confirmed("Going to remove " + list)) return 0;
  for (const auto& member : doomed) TRY(remove_member(context, member, volumes));
  return 0;
}

Result<int> wait(Context& context) {
  bool down_project = false;
  docker::Flags flags(context.call);
  flags.add("down-project", &down_project, "Drops project when the first container stops");
  const auto names = strings(TRY(flags.parse()));
  const Project project = TRY(context.load_or_name(names));
  const auto all = TRY(ordered(context, project, names, false));
  if (all.empty()) return fail(Code::not_found, "no containers for project " + quoted(project.name));
  int code = 0;
  for (const auto& member : all) {
    docker::Waiting waiting = TRY(docker::Waiting::begin(context.call.cli, member.id, "not-running"));
    const int ended = TRY(waiting.end());
    std::printf("container %s exited with status code %d\n", quoted(member.name).c_str(), ended);
    if (ended) code = ended;
    if (!down_project) continue;
    for (const auto& each : TRY(ordered(context, project, {}, true, true))) {
      TRY(stop_member(context, each, std::nullopt));
      TRY(remove_member(context, each, false, true));
    }
    TRY(remove_networks(context, project));
    break;
  }
  return code;
}

}  // namespace estiba::cli::compose
