#include <cstdio>
#include <cstdlib>

#include "base/strings.h"
#include "cli/docker/verb.h"
#include "cli/version.h"

namespace estiba::cli::docker {

namespace {

struct Group {
  std::string_view name, summary;
};
constexpr Group groups[] = {
    {"builder", "Manage builds"},   {"container", "Manage containers"}, {"context", "Manage contexts"}, {"image", "Manage images"},
    {"network", "Manage networks"}, {"system", "Manage Docker"},        {"volume", "Manage volumes"},
};
constexpr std::string_view common[] = {"run",    "exec",  "ps",     "build",  "pull",    "push",
                                       "images", "login", "logout", "search", "version", "info"};

const Group* find_group(std::string_view name) {
  for (const Group& group : groups)
    if (group.name == name) return &group;
  return nullptr;
}

const Verb* find_verb(std::string_view name) {
  for (const Verb& verb : docker_verbs()) {
    std::string_view names = verb.names;
    while (!names.empty()) {
      const std::string_view one = names.substr(0, names.find('|'));
      if (one == name) return &verb;
      names.remove_prefix(std::min(one.size() + 1, names.size()));
    }
  }
  return nullptr;
}

struct Line {
  std::string_view name, summary;
};

std::string lines(std::vector<Line> all, bool sorted = true) {
  if (sorted) std::sort(all.begin(), all.end(), [](const Line& a, const Line& b) { return a.name < b.name; });
  size_t width = 11;
  for (const Line& line : all) width = std::max(width, line.name.size());
  std::string out;
  for (const Line& line : all) {
    out += "  " + std::string(line.name);
    out.append(width - line.name.size() + 1, ' ');
    out += std::string(line.summary) + "\n";
  }
  return out;
}

std::string group_usage(std::string_view program, const Group& group) {
  std::vector<Line> all;
  const std::string prefix = std::string(group.name) + " ";
  for (const Verb& verb : docker_verbs()) {
    for (std::string_view name : split(verb.names, '|')) {
      if (!name.starts_with(prefix)) continue;
      all.push_back({name.substr(prefix.size()), verb.summary});
      break;  // the other names are aliases
    }
  }
  const std::string whole = std::string(program) + " " + std::string(group.name);
  return "Usage:  " + whole + " COMMAND\n\n" + std::string(group.summary) + "\n\nCommands:\n" + lines(std::move(all)) + "\nRun '" + whole +
         " COMMAND --help' for more information on a command.\n";
}

// The global flags, up to the first argument that is none. The count of arguments taken, or an exit code when it ends here.
struct Globals {
  size_t taken = 0;
  std::optional<int> exit;
};

Globals parse_globals(Cli& cli, const Arguments& arguments) {
  struct Option {
    std::string_view name;
    char letter;
    std::string* text;
    bool* truth;
  };
  std::string level;
  bool debug = false, version = false;
  Where& where = cli.where;
  const Option options[] = {
      {"config", 0, &cli.config_dir, nullptr},      {"context", 'c', &where.context, nullptr},   {"debug", 'D', nullptr, &debug},
      {"host", 'H', &where.host, nullptr},          {"log-level", 'l', &level, nullptr},         {"tls", 0, nullptr, &where.tls},
      {"tlscacert", 0, &where.ca, nullptr},         {"tlscert", 0, &where.certificate, nullptr}, {"tlskey", 0, &where.key, nullptr},
      {"tlsverify", 0, nullptr, &where.tls_verify}, {"version", 'v', nullptr, &version},
  };
  Globals out;
  auto refuse = [&](std::string message) {
    complain(message + "\n\nUsage:  " + std::string(cli.program()) + " [OPTIONS] COMMAND [ARG...]\n\nRun '" + std::string(cli.program()) +
             " --help' for more information");
    out.exit = 125;
    return out;
  };
  for (size_t& i = out.taken; i < arguments.size(); ++i) {
    std::string_view argument = arguments[i];
    if (argument.size() < 2 || argument[0] != '-') break;
    if (argument == "--help" || argument == "-h") {
      std::fputs(docker_usage(cli.program()).c_str(), stdout);
      out.exit = 0;
      return out;
    }
    const bool longer = argument[1] == '-';
    auto [name, value] = split_once(argument.substr(longer ? 2 : 1), '=');
    const Option* found = nullptr;
    for (const Option& option : options)
      if (longer ? option.name == name : option.letter == name[0]) found = &option;
    if (!found && longer) return refuse("unknown flag: --" + std::string(name));
    if (!found) return refuse(std::string("unknown shorthand flag: '") + name[0] + "' in " + std::string(argument));
    if (!longer && found->text && argument.size() > 2) value = argument.substr(argument[2] == '=' ? 3 : 2);
    if (found->truth) {
      *found->truth = !value || *value == "true" || *value == "1";
      continue;
    }
    if (!value) {
      if (i + 1 >= arguments.size()) return refuse("flag needs an argument: " + std::string(argument));
      value = arguments[++i];
    }
    *found->text = *value;
  }
  if (version) {
    std::printf("%s version %s\n", cli.program() == "docker" ? "Docker" : "estiba", program_version().data());
    out.exit = 0;
  }
  return out;
}

int run_verb(Cli& cli, const Verb& verb, std::string name, Arguments arguments) {
  Call call{cli, verb, std::string(cli.program()) + " " + std::move(name), std::move(arguments)};
  auto code = verb.run(call);
  std::fflush(stdout);
  if (code) return *code;
  if (code.error().message.empty()) return code.error().sys;  // exit_with()
  complain(code.error().message);
  return 1;
}

}  // namespace

std::unexpected<Error> exit_with(int code) { return std::unexpected(Error{Code::cancelled, code, {}, nullptr}); }

void complain(std::string_view line) {
  std::fflush(stdout);
  std::fprintf(stderr, "%.*s\n", int(line.size()), line.data());
}

std::string Cli::config_directory() const {
  if (!config_dir.empty()) return config_dir;
  if (const char* set = std::getenv("DOCKER_CONFIG"); set && *set) return set;
  const char* home = std::getenv("HOME");
  return std::string(home && *home ? home : "/root") + "/.docker";
}

Result<Config*> Cli::config() {
  if (!config_) config_ = TRY(Config::load(config_directory()));
  return &*config_;
}

Result<std::unique_ptr<Client>> Cli::connect() {
  const Config& config = *TRY(this->config());
  return std::make_unique<Client>(TRY(resolve_endpoint(config, where)), config.http_headers());
}

Result<Client*> Cli::client() {
  if (!client_) client_ = TRY(connect());
  return client_.get();
}

std::vector<std::string_view> docker_names() {
  std::vector<std::string_view> out;
  for (const Group& group : groups) out.push_back(group.name);
  for (const Verb& verb : docker_verbs())
    for (std::string_view name : split(verb.names, '|'))
      if (!name.contains(' ')) out.push_back(name);
  return out;
}

std::string docker_usage(std::string_view program) {
  std::vector<Line> first, management, others;
  for (std::string_view name : common)
    if (const Verb* verb = find_verb(name)) first.push_back({name, verb->summary});
  for (const Group& group : groups) management.push_back({group.name, group.summary});
  for (const Verb& verb : docker_verbs())
    for (std::string_view name : split(verb.names, '|'))
      if (!name.contains(' ') && std::find(std::begin(common), std::end(common), name) == std::end(common)) {
        others.push_back({name, verb.summary});
        break;
      }
  const std::string name(program);
  return "Usage:  " + name + " [OPTIONS] COMMAND\n\n" + "Run containers, build images, speak to a Docker daemon\n\nCommon Commands:\n" +
         lines(std::move(first), false) + "\nManagement Commands:\n" + lines(std::move(management)) + "\nCommands:\n" +
         lines(std::move(others)) +
         "\nGlobal Options:\n"
         "      --config string      Directory of the client's configuration (default ~/.docker)\n"
         "  -c, --context string     Context to use: which daemon to speak to\n"
         "  -D, --debug              Accepted; there is nothing more to tell\n"
         "  -H, --host string        Daemon's socket: unix://PATH, tcp://HOST:PORT, ssh://HOST\n"
         "  -l, --log-level string   Accepted\n"
         "      --tls                Use TLS; implied by --tlsverify\n"
         "      --tlscacert string   Trust certificates signed only by this CA\n"
         "      --tlscert string     Path of the client's certificate\n"
         "      --tlskey string      Path of the client's key\n"
         "      --tlsverify          Use TLS and verify the daemon\n"
         "  -v, --version            Print the version and quit\n"
         "\nRun '" +
         name + " COMMAND --help' for more information on a command.\n";
}

std::optional<int> run_docker(std::string_view program, const Arguments& arguments) {
  Cli cli(program);
  const Globals globals = parse_globals(cli, arguments);
  if (globals.exit) return globals.exit;
  Arguments rest(arguments.begin() + long(globals.taken), arguments.end());
  if (rest.empty()) {
    std::fputs(docker_usage(program).c_str(), stdout);
    return 0;
  }
  if (rest[0] == "help" && rest.size() > 1) {
    rest.erase(rest.begin());
    rest.push_back("--help");
  }
  if (const Group* group = find_group(rest[0])) {
    if (rest.size() == 1 || rest[1] == "--help" || rest[1] == "-h") {
      std::fputs(group_usage(program, *group).c_str(), rest.size() == 1 ? stderr : stdout);
      return 0;
    }
    const std::string name = std::string(rest[0]) + " " + std::string(rest[1]);
    if (const Verb* verb = find_verb(name)) return run_verb(cli, *verb, name, Arguments(rest.begin() + 2, rest.end()));
    const std::string whole = std::string(program) + " " + std::string(group->name);
    complain(std::string(program) + ": unknown command: " + whole + " " + std::string(rest[1]) + "\n\nUsage:  " + whole + "\n\nRun '" +
             whole + " --help' for more information");
    return 1;
  }
  if (const Verb* verb = find_verb(rest[0])) return run_verb(cli, *verb, std::string(rest[0]), Arguments(rest.begin() + 1, rest.end()));
  if (globals.taken == 0) return std::nullopt;
  complain(std::string(program) + ": unknown command: " + std::string(program) + " " + std::string(rest[0]) + "\n\nRun '" +
           std::string(program) + " --help' for more information");
  return 1;
}

}  // namespace estiba::cli::docker
