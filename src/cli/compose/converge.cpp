#include "cli/compose/converge.h"

#include <algorithm>

#include "base/strings.h"
#include "cli/compose/order.h"
#include "cli/compose/plan.h"
#include "cli/docker/session.h"
#include "image/tar.h"

namespace estiba::cli::compose {
namespace {

using docker::Builder;
using docker::Client;
using docker::Request;
using docker::segment;
using json::Node;

struct Text final : image::Sink {
  std::string text;
  Result<void> write(std::string_view bytes) override {
    text += bytes;
    return {};
  }
};

Result<void> put_files(Client& client, const std::string& id, const std::vector<GrantedFile>& files) {
  if (files.empty()) return {};
  Text out;
  image::TarWriter tar(out);
  for (const auto& file : files) {
    image::TarEntry entry;
    entry.name = file.path.substr(1);
    entry.mode = uint32_t(file.mode);
    entry.uid = uint32_t(file.uid);
    entry.gid = uint32_t(file.gid);
    entry.size = file.content.size();
    TRY(tar.begin(entry));
    TRY(tar.content(file.content));
    TRY(tar.end());
  }
  TRY(tar.finish());
  Request request{.method = "PUT", .path = "/containers/" + segment(id) + "/archive", .body = std::move(out.text)};
  request.query.add("path", "/");
  request.headers.add("Content-Type", "application/x-tar");
  TRY(client.text(std::move(request)));
  return {};
}

/// Anonymous volumes of a container, which the one that replaces it keeps: "volume:target".
Result<std::vector<std::string>> anonymous_volumes(Client& client, const Project& project, const Node& service, const std::string& id) {
  const json::Document container = TRY(client.call({.path = "/containers/" + segment(id) + "/json"}));
  std::vector<std::string> out;
  const Node* mounts = container.root().find("Mounts");
  if (!mounts) return out;
  for (const Node& mount : *mounts) {
    if (mount.string_at("Type") != "volume") continue;
    const std::string target(mount.string_at("Destination"));
    bool named = false;
    if (const Node* own = service.find("volumes"))
      for (const Node& each : *own) named = named || (each.string_at("target") == target && !each.string_at("source").empty());
    bool of_project = false;
    if (const Node* volumes = project.document.root().find("volumes"))
      for (const Node& each : *volumes) of_project = of_project || each.string_at("name") == mount.string_at("Name");
    if (!named && !of_project) out.push_back(std::string(mount.string_at("Name")) + ":" + target);
  }
  return out;
}

class Convergence {
 public:
  Convergence(Context& context, const Project& project, const UpOptions& options, Client& client)
      : context_(context), project_(project), options_(options), client_(client) {}

  /// Makes what is missing; nothing is started yet.
  Result<void> create(const Node& service, bool is_dependency) {
    const std::string name(service.key());
    auto scale = options_.scale.find(name);
    Wanted wanted{.replicas = scale != options_.scale.end() ? scale->second : replicas_of(service), .hash = config_hash(project_, service)};
    if (wanted.replicas > 1 && !service.string_at("container_name").empty())
      return fail(Code::invalid, "service " + quoted(name) + " has container_name " + quoted(service.string_at("container_name")) +
                                     ", so it cannot be scaled to " + std::to_string(wanted.replicas) + "; remove container_name");
    wanted.image_id = TRY(image_id(client_, image_of(project_, service)));
    wanted.force_recreate = is_dependency ? options_.always_recreate_deps : options_.force_recreate;
    wanted.no_recreate = options_.no_recreate;
    const auto present = of_services(TRY(members(client_, project_.name)), {name});
    // Removals first: their names and addresses may be wanted again.
    auto actions = plan_service(present, wanted);
    for (const Action& action : actions)
      if (action.step == Action::Step::remove) TRY(remove(action.member));
    for (const Action& action : actions) {
      const std::string container = container_name(project_, service, action.number);
      if (action.step == Action::Step::create) TRY(make(service, container, action.number, wanted.image_id, {}));
      else if (action.step == Action::Step::recreate) TRY(recreate(service, action, wanted.image_id));
      else if (action.step == Action::Step::keep) context_.tell("Container", container, "Running");
    }
    return {};
  }

 private:
  Result<void> remove(const Member& member) {
    TRY(stop_member(context_, member, options_.timeout));
    return remove_member(context_, member, false, true);
  }

  Result<void> make(const Node& service, const std::string& name, int64_t number, const std::string& image,
                    std::vector<std::string> inherited) {
    context_.tell("Container", name, "Creating");
    if (context_.dry_run) return {};
    BodyOptions body{.number = number, .image_id = image, .inherited = std::move(inherited), .containers = TRY(peers(client_, project_))};
    TRY(create_container(context_, project_, service, name, body));
    context_.tell("Container", name, "Created");
    return {};
  }

  /// The old one steps aside under another name until the new one is made, so that a failure leaves it as it was.
  Result<void> recreate(const Node& service, const Action& action, const std::string& image) {
    const std::string name = container_name(project_, service, action.number);
    context_.tell("Container", name, "Recreate");
    if (context_.dry_run) return {};
    const Member& old = action.member;
    std::vector<std::string> inherited;
    if (!options_.renew_anonymous_volumes) inherited = TRY(anonymous_volumes(client_, project_, service, old.id));
    TRY(stop_member(context_, old, options_.timeout));
    const std::string aside = old.id.substr(0, 12) + "_" + old.name;
    TRY(rename(old.id, aside));
    auto made = make(service, name, action.number, image, std::move(inherited));
    if (!made) {
      (void)rename(old.id, old.name);
      if (old.running()) (void)client_.text({.method = "POST", .path = "/containers/" + segment(old.id) + "/start"});
      return made;
    }
    Request request{.method = "DELETE", .path = "/containers/" + segment(old.id)};
    request.query.add("force", "1");
    if (options_.renew_anonymous_volumes) request.query.add("v", "1");
    TRY(client_.text(std::move(request)));
    context_.tell("Container", name, "Recreated");
    return {};
  }

  Result<void> rename(const std::string& id, const std::string& name) {
    Request request{.method = "POST", .path = "/containers/" + segment(id) + "/rename"};
    request.query.add("name", name);
    TRY(client_.text(std::move(request)));
    return {};
  }

  Context& context_;
  const Project& project_;
  const UpOptions& options_;
  Client& client_;
};

}  // namespace

Result<std::vector<std::pair<std::string, std::string>>> peers(Client& client, const Project& project) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const auto& member : TRY(members(client, project.name))) out.emplace_back(member.service, member.id);
  return out;
}

Result<std::string> create_container(Context& context, const Project& project, const Node& service, const std::string& name,
                                     const BodyOptions& options) {
  Client& client = *TRY(context.client());
  Builder body;
  TRY(container_body(project, service, options, body));
  Request request{.method = "POST", .path = "/containers/create", .body = body.text()};
  request.query.add("name", name);
  if (const std::string_view platform = service.string_at("platform"); !platform.empty())
    request.query.add("platform", std::string(platform));
  const json::Document created = TRY_AS("service " + quoted(service.key()), client.call(std::move(request)));
  const std::string id(created.root().string_at("Id"));
  auto rest = [&]() -> Result<void> {
    const auto networks = networks_of(project, service);
    for (size_t i = 1; i < networks.size(); ++i) {
      Builder connection;
      connection.set("Container", id);
      endpoint_settings(project, service, networks[i].first, options, connection.object("EndpointConfig"));
      TRY(client.text({.method = "POST", .path = "/networks/" + segment(networks[i].second) + "/connect", .body = connection.text()}));
    }
    return put_files(client, id, granted_files(project, service));
  }();
  if (!rest) {
    Request undo{.method = "DELETE", .path = "/containers/" + id};
    undo.query.add("force", "1");
    undo.query.add("v", "1");
    (void)client.text(std::move(undo));
    return std::unexpected(std::move(rest.error()).context("service " + quoted(service.key())));
  }
  return id;
}

Result<void> treat_orphans(Context& context, const Project& project, bool remove) {
  std::vector<std::string> names;
  for (const auto& member : TRY(members(*TRY(context.client()), project.name))) {
    const bool known = project.service(member.service) ||
                       std::find(project.disabled.begin(), project.disabled.end(), member.service) != project.disabled.end();
    if (known) continue;
    names.push_back(member.name);
    if (!remove) continue;
    TRY(stop_member(context, member, std::nullopt));
    TRY(remove_member(context, member, false, true));
  }
  if (!remove && !names.empty() && !context.quiet)
    docker::complain("WARN[0000] Found orphan containers (" + join(names, " ") +
                     ") for this project. If you removed or renamed this service in your "
                     "compose file, you can run this command with the --remove-orphans flag to clean it up.");
  return {};
}

Result<std::vector<std::string>> make_all(Context& context, const Project& project, const std::vector<std::string>& targets,
                                          const UpOptions& options) {
  TRY(project.check_services(targets));
  std::vector<std::string> scaled;
  for (const auto& [name, count] : options.scale) scaled.push_back(name);
  TRY(project.check_services(scaled));
  const auto services = start_order(project, targets, !options.no_deps);
  TRY(treat_orphans(context, project, options.remove_orphans));
  TRY(ensure_images(context, project, services, options.images));
  TRY(ensure_networks(context, project, services));
  TRY(ensure_volumes(context, project, services));
  TRY(in_order(context, project, services, Direction::forward, [&](Context& own, const std::string& name) -> Result<void> {
    const bool is_dependency = !targets.empty() && std::find(targets.begin(), targets.end(), name) == targets.end();
    return Convergence(own, project, options, *TRY(own.client())).create(*project.service(name), is_dependency);
  }));
  return services;
}

Result<void> start_all(Context& context, const Project& project, const std::vector<std::string>& services, const Started& started) {
  if (context.dry_run) return {};
  return in_order(context, project, services, Direction::forward, [&](Context& own, const std::string& name) -> Result<void> {
    TRY(wait_for_dependencies(own, project, *project.service(name)));
    for (auto& member : of_services(TRY(members(*TRY(own.client()), project.name)), {name})) {
      if (own.stopped()) return fail(Code::cancelled, "interrupted before container " + member.name + " was started");
      if (started && member.state == "exited") {
        const json::Document before = TRY(TRY(own.client())->call({.path = "/containers/" + segment(member.id) + "/json"}));
        member.finished = before.root().string_at("State", "FinishedAt");
      }
      TRY_AS("service " + quoted(name), start_member(own, member));
      if (started) TRY(started(member));
    }
    return {};
  });
}

Result<std::vector<std::string>> converge(Context& context, const Project& project, const std::vector<std::string>& targets,
                                          const UpOptions& options) {
  auto services = TRY(make_all(context, project, targets, options));
  if (!options.no_start) TRY(start_all(context, project, services));
  return services;
}

}  // namespace estiba::cli::compose
