// compose run, exec, cp: commands in services.
#include <algorithm>
#include <cstdio>

#include "base/strings.h"
#include "cli/compose/commands.h"
#include "cli/compose/converge.h"
#include "cli/compose/shape.h"
#include "cli/docker/container_options.h"
#include "cli/docker/session.h"
#include "cli/docker/terminal.h"

namespace estiba::cli::compose {
namespace {

using docker::Request;
using json::Node;

struct RunFlags {
  bool detach = false, build = false, no_deps = false, no_tty = false, interactive = true, tty = true, rm = false, service_ports = false,
       use_aliases = false, quiet_pull = false, remove_orphans = false, quiet = false, quiet_build = false;
  std::string entrypoint, name, pull, user, workdir;
  std::vector<std::string> environment, env_files, labels, volumes, publish, cap_add, cap_drop;
};

void declare(docker::Flags& flags, RunFlags& run) {
  flags.add("build", &run.build, "Build image before starting container");
  flags.add("detach,d", &run.detach, "Run container in background and print container ID");
  flags.add("entrypoint", &run.entrypoint, "Override the entrypoint of the image");
  flags.add("env,e", &run.environment, "Set environment variables");
  flags.add("env-from-file", &run.env_files, "Set environment variables from file");
  flags.add("interactive,i", &run.interactive, "Keep STDIN open even if not attached");
  flags.add("label,l", &run.labels, "Add or override a label");
  flags.add("name", &run.name, "Assign a name to the container");
  flags.add("no-TTY,T", &run.no_tty, "Disable pseudo-TTY allocation (default: auto-detected)");
  flags.add("no-deps", &run.no_deps, "Don't start linked services");
  flags.add("publish,p", &run.publish, "Publish a container's port(s) to the host");
  flags.add("pull", &run.pull, "Pull image before running (\"always\"|\"missing\"|\"never\")");
  flags.add("quiet,q", &run.quiet, "Don't print anything to STDOUT");
  flags.add("quiet-build", &run.quiet_build, "Suppress progress output from the build process");
  flags.add("quiet-pull", &run.quiet_pull, "Pull without printing progress information");
  flags.add("remove-orphans", &run.remove_orphans, "Remove containers for services not defined in the Compose file");
  flags.add("rm", &run.rm, "Automatically remove the container when it exits");
  flags.add("service-ports,P", &run.service_ports, "Run command with all service's ports enabled and mapped to the host");
  flags.add("tty,t", &run.tty, "Allocate a pseudo-TTY");
  flags.add("use-aliases", &run.use_aliases, "Use the service's network useAliases in the network(s) the container connects to");
  flags.add("user,u", &run.user, "Run as specified username or uid");
  flags.add("volume,v", &run.volumes, "Bind mount a volume");
  flags.add("workdir,w", &run.workdir, "Working directory inside the container");
}

Result<BodyOptions> one_off_body(const Project& project, const RunFlags& run, const Arguments& words) {
  BodyOptions body;
  body.one_off = true;
  static constexpr char digits[] = "0123456789abcdef";
  for (unsigned char byte : random_bytes(6)) body.slug += {digits[byte >> 4], digits[byte & 15]};
  if (words.size() > 1) body.command = std::vector<std::string>(words.begin() + 1, words.end());
  if (!run.entrypoint.empty()) body.entrypoint = TRY(split_words(run.entrypoint));
  // Another entrypoint has nothing to do with the service's command.
  if (body.entrypoint && !body.command) body.command.emplace();
  body.environment = TRY(docker::gather_env(run.env_files, run.environment));
  body.labels = run.labels;
  body.publish = run.publish;
  json::Document scratch;
  for (const auto& volume : run.volumes) {
    const Node& mount = *TRY(parse_mount(scratch, volume, project.directory));
    const Node* read_only = mount.find("read_only");
    std::string source(mount.string_at("source"));
    if (const Node* known = project.resource("volumes", source)) source = known->string_at("name");
    if (source.empty()) return fail(Code::invalid, "invalid volume " + quoted(volume) + ": SOURCE:TARGET is expected");
    body.binds.push_back(source + ":" + std::string(mount.string_at("target")) + (read_only ? ":ro" : ""));
  }
  body.user = run.user;
  body.workdir = run.workdir;
  body.service_ports = run.service_ports;
  body.use_aliases = run.use_aliases;
  body.tty = !run.detach && !run.no_tty && run.tty && docker::is_terminal(0) && docker::is_terminal(1);
  body.open_stdin = !run.detach && run.interactive;
  return body;
}

}  // namespace

Result<int> run(Context& context) {
  RunFlags run;
  docker::Flags flags(context.call);
  declare(flags, run);
  const Arguments words = TRY(flags.parse(true));
  const std::string name(words[0]);
  const Project project = TRY(context.load({name}));
  TRY(project.check_services({name}));
  const Node& service = *project.service(name);
  std::vector<std::string> dependencies;
  for (const auto& each : start_order(project, {name}))
    if (each != name) dependencies.push_back(each);
  UpOptions options{.no_recreate = true, .remove_orphans = run.remove_orphans};
  options.images.pull = run.pull;
  options.images.quiet = run.quiet_pull;
  if (!run.no_deps && !dependencies.empty()) TRY(converge(context, project, dependencies, options));
  options.images.build = run.build;
  TRY(ensure_images(context, project, {name}, options.images));
  TRY(ensure_networks(context, project, {name}));
  TRY(ensure_volumes(context, project, {name}));
  if (!run.no_deps) TRY(wait_for_dependencies(context, project, service));
  BodyOptions body = TRY(one_off_body(project, run, words));
  docker::Client& client = *TRY(context.client());
  body.image_id = TRY(image_id(client, image_of(project, service)));
  body.containers = TRY(peers(client, project));
  if (context.dry_run) return 0;
  const std::string container = run.name.empty() ? project.name + "-" + name + "-run-" + body.slug : run.name;
  const std::string id = TRY(create_container(context, project, service, container, body));
  auto remove = [&]() -> Result<void> {
    Request request{.method = "DELETE", .path = "/containers/" + id};
    request.query.add("force", "1");
    request.query.add("v", "1");
    TRY(client.text(std::move(request)));
    return {};
  };
  if (run.detach) {
    auto started = client.text({.method = "POST", .path = "/containers/" + id + "/start"});
    if (!started) {
      if (run.rm) (void)remove();
      return std::unexpected(std::move(started.error()));
    }
    std::printf("%s\n", container.c_str());
    return 0;
  }
  std::vector<std::string> start{"--attach", id};
  if (body.open_stdin) start.insert(start.begin(), "--interactive");
  auto code = context.run_verb("start", start);
  if (run.rm) TRY(remove());
  return code;
}

Result<int> exec(Context& context) {
  bool detach = false, privileged = false, no_tty = false, interactive = true, tty = true;
  int64_t index = 0;
  std::string user, workdir;
  std::vector<std::string> environment;
  docker::Flags flags(context.call);
  flags.add("detach,d", &detach, "Detached mode: Run command in the background");
  flags.add("env,e", &environment, "Set environment variables");
  flags.add("index", &index, "Index of the container if service has multiple replicas");
  flags.add("interactive,i", &interactive, "Keep STDIN open even if not attached");
  flags.hide();
  flags.add("no-TTY,T", &no_tty, "Disable pseudo-TTY allocation. By default `compose exec` allocates a TTY");
  flags.add("no-tty", &no_tty, "Disable pseudo-TTY allocation");
  flags.hide();
  flags.add("privileged", &privileged, "Give extended privileges to the process");
  flags.add("tty,t", &tty, "Allocate a pseudo-TTY");
  flags.hide();
  flags.add("user,u", &user, "Run the command as this user");
  flags.add("workdir,w", &workdir, "Path to workdir directory for this command");
  const auto words = strings(TRY(flags.parse(true)));
  const Project project = TRY(context.load_or_name({words[0]}));
  const Member member = TRY(find_member(*TRY(context.client()), project, words[0], index));
  std::vector<std::string> arguments;
  if (detach) arguments.emplace_back("--detach");
  if (!detach && interactive) arguments.emplace_back("--interactive");
  if (!detach && !no_tty && tty && docker::is_terminal(0) && docker::is_terminal(1)) arguments.emplace_back("--tty");
  if (privileged) arguments.emplace_back("--privileged");
  for (const auto& each : environment) arguments.insert(arguments.end(), {"--env", each});
  if (!user.empty()) arguments.insert(arguments.end(), {"--user", user});
  if (!workdir.empty()) arguments.insert(arguments.end(), {"--workdir", workdir});
  arguments.push_back(member.id);
  arguments.insert(arguments.end(), words.begin() + 1, words.end());
  return context.run_verb("exec", arguments);
}

Result<int> copy(Context& context) {
  bool archive = false, follow = false, all = false;
  int64_t index = 0;
  docker::Flags flags(context.call);
  flags.add("all", &all, "Include containers created by the run command");
  flags.add("archive,a", &archive, "Archive mode (copy all uid/gid information)");
  flags.add("follow-link,L", &follow, "Always follow symbol link in SRC_PATH");
  flags.add("index", &index, "Index of the container if service has multiple replicas");
  auto words = strings(TRY(flags.parse()));
  const Project project = TRY(context.load_or_name());
  std::vector<std::string> targets;
  size_t side = words.size();
  for (size_t i = 0; i < words.size(); ++i) {
    auto [service, path] = split_once(words[i], ':');
    if (!path || words[i].starts_with('/') || words[i].starts_with('.') || service.empty()) continue;
    if (side != words.size()) return fail(Code::invalid, "copying between services is not supported; copy to this machine first");
    side = i;
    TRY(project.check_services({std::string(service)}));
    for (const auto& member : of_services(TRY(members(*TRY(context.client()), project.name, all)), {std::string(service)}))
      if (!index || member.number == index) targets.push_back(member.name + ":" + std::string(*path));
    if (targets.empty()) return fail(Code::not_found, "no container found for service " + quoted(service) + "; make one with 'compose up'");
  }
  if (side == words.size()) return fail(Code::invalid, "unknown copy direction; one of the two paths is SERVICE:PATH");
  // Out of a service it comes from one container; into a service it goes to all.
  if (side == 0) targets.resize(1);
  for (const auto& target : targets) {
    std::vector<std::string> arguments;
    if (archive) arguments.emplace_back("--archive");
    if (follow) arguments.emplace_back("--follow-link");
    words[side] = target;
    arguments.insert(arguments.end(), words.begin(), words.end());
    const int code = TRY(context.run_verb("cp", arguments));
    if (code) return code;
  }
  return 0;
}

}  // namespace estiba::cli::compose
