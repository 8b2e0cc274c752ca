// estiba compose: the global flags and the table of commands.
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstdlib>

#include "base/strings.h"
#include "cli/compose/commands.h"
#include "cli/compose/context.h"
#include "cli/docker/terminal.h"
#include "cli/docker/verbs.h"
#include "cli/flags.h"

namespace estiba::cli::compose {
namespace {

struct Command {
  docker::Verb verb;  ///< what Flags needs: names, usage, summary, numbers of arguments
  Result<int> (*run)(Context& context);
};

constexpr Command table[] = {
    {{"build", "[OPTIONS] [SERVICE...]", "Build or rebuild services", 0, -1}, build},
    {{"config|convert", "[OPTIONS] [SERVICE...]", "Parse, resolve and render compose file in canonical format", 0, -1}, config},
    {{"cp", "[OPTIONS] SERVICE:SRC_PATH DEST_PATH|- or SRC_PATH|- SERVICE:DEST_PATH",
      "Copy files/folders between a service container and the local filesystem", 2, 2},
     copy},
    {{"create", "[OPTIONS] [SERVICE...]", "Creates containers for a service", 0, -1}, create},
    {{"down", "[OPTIONS] [SERVICES]", "Stop and remove containers, networks", 0, -1}, down},
    {{"events", "[OPTIONS] [SERVICE...]", "Receive real time events from containers", 0, -1}, events},
    {{"exec", "[OPTIONS] SERVICE COMMAND [ARGS...]", "Execute a command in a running container", 2, -1}, exec},
    {{"images", "[OPTIONS] [SERVICE...]", "List images used by the created containers", 0, -1}, images},
    {{"kill", "[OPTIONS] [SERVICE...]", "Force stop service containers", 0, -1}, kill},
    {{"logs", "[OPTIONS] [SERVICE...]", "View output from containers", 0, -1}, logs},
    {{"ls", "[OPTIONS]", "List running compose projects", 0, 0}, ls},
    {{"pause", "[SERVICE...]", "Pause services", 0, -1}, pause},
    {{"port", "[OPTIONS] SERVICE PRIVATE_PORT", "Print the public port for a port binding", 2, 2}, port},
    {{"ps", "[OPTIONS] [SERVICE...]", "List containers", 0, -1}, ps},
    {{"pull", "[OPTIONS] [SERVICE...]", "Pull service images", 0, -1}, pull},
    {{"push", "[OPTIONS] [SERVICE...]", "Push service images", 0, -1}, push},
    {{"restart", "[OPTIONS] [SERVICE...]", "Restart service containers", 0, -1}, restart},
    {{"rm", "[OPTIONS] [SERVICE...]", "Removes stopped service containers", 0, -1}, rm},
    {{"run", "[OPTIONS] SERVICE [COMMAND] [ARGS...]", "Run a one-off command on a service", 1, -1}, run},
    {{"scale", "[SERVICE=REPLICAS...]", "Scale services", 1, -1}, scale},
    {{"start", "[SERVICE...]", "Start services", 0, -1}, start},
    {{"stats", "[OPTIONS] [SERVICE]", "Display a live stream of container(s) resource usage statistics", 0, -1}, stats},
    {{"stop", "[OPTIONS] [SERVICE...]", "Stop services", 0, -1}, stop},
    {{"top", "[SERVICES...]", "Display the running processes", 0, -1}, top},
    {{"unpause", "[SERVICE...]", "Unpause services", 0, -1}, unpause},
    {{"up", "[OPTIONS] [SERVICE...]", "Create and start containers", 0, -1}, up},
    {{"version", "[OPTIONS]", "Show the Docker Compose version information", 0, 0}, version},
    {{"wait", "SERVICE [SERVICE...] [OPTIONS]", "Block until containers of all (or specified) services stop.", 1, -1}, wait},
    {{"watch", "[SERVICE...]", "Not supported", 0, -1}, watch},
};

std::string usage(std::string_view program) {
  std::string out = "Usage:  " + std::string(program) +
                    " compose [OPTIONS] COMMAND\n\nDefine and run multi-container applications\n\nOptions:\n"
                    "      --all-resources              Accepted\n"
                    "      --ansi string                Control when to print ANSI control characters (\"never\"|\"always\"|\"auto\")\n"
                    "      --dry-run                    Say what would be done, and do nothing\n"
                    "      --env-file stringArray       Specify an alternate environment file\n"
                    "  -f, --file stringArray           Compose configuration files\n"
                    "      --parallel int               How many services are acted on at once, -1 for all (default -1)\n"
                    "      --profile stringArray        Specify a profile to enable\n"
                    "      --progress string            How what is done is told (\"auto\"|\"plain\"|\"quiet\")\n"
                    "      --project-directory string   Specify an alternate working directory (default: that of the first file)\n"
                    "  -p, --project-name string        Project name\n\nCommands:\n";
  for (const Command& command : table) {
    const std::string name(split_once(command.verb.names, '|').first);
    out += "  " + name + std::string(name.size() < 12 ? 12 - name.size() : 1, ' ') + std::string(command.verb.summary) + "\n";
  }
  return out + "\nRun '" + std::string(program) + " compose COMMAND --help' for more information on a command.\n";
}

const Command* find(std::string_view name) {
  for (const Command& command : table)
    for (std::string_view each : split(command.verb.names, '|'))
      if (each == name) return &command;
  return nullptr;
}

/// The flags before the command; the index of the command.
Result<size_t> parse_globals(const Arguments& arguments, Context& context) {
  std::string ansi, progress, parallel, workdir;
  bool compatibility = false, verbose = false, all_resources = false;
  struct Option {
    std::string_view name;
    char letter;
    std::string* text;
    std::vector<std::string>* list;
    bool* truth;
  };
  LoadOptions& load = context.options;
  const Option options[] = {{"file", 'f', nullptr, &load.files, nullptr},
                            {"project-name", 'p', &load.name, nullptr, nullptr},
                            {"project-directory", 0, &load.directory, nullptr, nullptr},
                            {"workdir", 0, &load.directory, nullptr, nullptr},
                            {"env-file", 0, nullptr, &load.env_files, nullptr},
                            {"profile", 0, nullptr, &load.profiles, nullptr},
                            {"ansi", 0, &ansi, nullptr, nullptr},
                            {"progress", 0, &progress, nullptr, nullptr},
                            {"parallel", 0, &parallel, nullptr, nullptr},
                            {"all-resources", 0, nullptr, nullptr, &all_resources},
                            {"compatibility", 0, nullptr, nullptr, &compatibility},
                            {"verbose", 0, nullptr, nullptr, &verbose},
                            {"dry-run", 0, nullptr, nullptr, &context.dry_run}};
  size_t i = 0;
  for (; i < arguments.size() && arguments[i].size() > 1 && arguments[i][0] == '-'; ++i) {
    const std::string_view argument = arguments[i];
    const bool longer = argument[1] == '-';
    auto [name, value] = split_once(argument.substr(longer ? 2 : 1), '=');
    if (name == "help" || name == "h" || name == "version" || name == "v") return i;
    const Option* found = nullptr;
    for (const Option& option : options)
      if (longer ? option.name == name : option.letter && option.letter == name[0]) found = &option;
    if (!found) {
      std::vector<std::string_view> known;
      for (const Option& option : options) known.push_back(option.name);
      const std::string_view near = nearest(name, known);
      return fail(Code::invalid,
                  "unknown flag: " + std::string(argument) + (near.empty() ? "" : "; did you mean --" + std::string(near) + "?"));
    }
    if (!longer && argument.size() > 2) value = argument.substr(argument[2] == '=' ? 3 : 2);
    if (found->truth) {
      *found->truth = !value || *value == "true" || *value == "1";
      continue;
    }
    if (!value && i + 1 >= arguments.size()) return fail(Code::invalid, "flag needs an argument: " + std::string(argument));
    if (!value) value = arguments[++i];
    if (found->list) found->list->emplace_back(*value);
    else *found->text = *value;
  }
  context.colour = ansi != "never";
  context.quiet = progress == "quiet";
  if (context.colour && !context.dry_run && progress != "plain" && docker::is_terminal(2))
    context.progress = std::make_shared<Progress>(true);
  if (parallel.empty())
    if (auto limit = load.environment.find("COMPOSE_PARALLEL_LIMIT"); limit != load.environment.end()) parallel = limit->second;
  const auto limit = parse_number<int64_t>(parallel);
  if (!parallel.empty() && !limit) return fail(Code::invalid, "--parallel: a number is expected, but it is " + quoted(parallel));
  context.parallel = limit.value_or(0);
  return i;
}

}  // namespace
}  // namespace estiba::cli::compose

namespace estiba::cli::docker {

Result<int> compose(Call& call) {
  using namespace estiba::cli::compose;
  Context outer{call, {}};
  outer.options.environment = process_environment();
  char directory[PATH_MAX];
  outer.options.working_directory = ::getcwd(directory, sizeof directory) ? directory : "/";
  Arguments words = call.arguments;
  const size_t at = TRY(parse_globals(words, outer));
  const std::string_view program = call.cli.program();
  if (at < words.size() && (words[at] == "--version" || words[at] == "-v")) words[at] = "version";
  if (at < words.size() && words[at] == "help" && at + 1 < words.size()) {
    words.erase(words.begin() + long(at));
    words.push_back("--help");
  }
  if (at >= words.size() || words[at] == "--help" || words[at] == "-h" || words[at] == "help") {
    std::fputs(usage(program).c_str(), at >= words.size() ? stderr : stdout);
    return at >= words.size() ? 1 : 0;
  }
  const Command* command = find(words[at]);
  if (!command) {
    std::vector<std::string_view> names;
    for (const Command& each : table) names.push_back(split_once(each.verb.names, '|').first);
    const std::string_view near = nearest(words[at], names);
    return fail(Code::invalid, "unknown docker command: " + quoted("compose " + std::string(words[at])) +
                                   (near.empty() ? "" : "; did you mean " + quoted(near) + "?"));
  }
  Call inner{call.cli, command->verb, std::string(program) + " compose " + std::string(words[at]),
             Arguments(words.begin() + long(at) + 1, words.end())};
  Context context{inner, std::move(outer.options), outer.colour, outer.quiet, outer.dry_run, std::move(outer.progress), outer.parallel};
  return command->run(context);
}

}  // namespace estiba::cli::docker
