#include "cli/oci/commands.h"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "model/json.h"
#include "os/file.h"
#include "os/own_program.h"
#include "runtime/shim.h"

namespace estiba::cli::oci {

std::string Arguments::get(std::string_view name, std::string_view otherwise) const {
  // The last one given counts.
  auto [begin, end] = options.equal_range(name);
  if (begin == end) return std::string(otherwise);
  return std::prev(end)->second;
}

std::vector<std::string> Arguments::all(std::string_view name) const {
  std::vector<std::string> out;
  for (auto [at, end] = options.equal_range(name); at != end; ++at) out.push_back(at->second);
  return out;
}

const std::vector<Verb>& verbs() {
  static const std::vector<Option> making = {{"bundle", 'b', true},
                                             {"console-socket", 0, true},
                                             {"pid-file", 0, true},
                                             {"no-pivot"},
                                             {"no-new-keyring"},
                                             {"preserve-fds", 0, true},
                                             {"keep"},
                                             {"detach", 'd'},
                                             {"no-subreaper"},
                                             {"log-driver", 0, true}};
  static const std::vector<Verb> table = {
      {"create", "<container-id>", "make a container from a bundle, up to the start of its program", making, cmd_create},
      {"start", "<container-id>", "run the program of a created container", {}, cmd_start},
      {"run", "<container-id>", "create and start a container, and wait for it", making, cmd_run},
      {"state", "<container-id>", "print the state of a container", {}, cmd_state},
      {"kill", "<container-id> [signal]", "send a signal (SIGTERM) to a container's process", {{"all", 'a'}}, cmd_kill},
      {"delete", "<container-id>", "remove what is kept of a stopped container", {{"force", 'f'}}, cmd_delete},
      {"exec",
       "<container-id> <command> [args]",
       "run a further program in a container",
       {{"console-socket", 0, true},
        {"cwd", 0, true},
        {"env", 'e', true},
        {"tty", 't'},
        {"user", 'u', true},
        {"additional-gids", 'g', true},
        {"process", 'p', true},
        {"detach", 'd'},
        {"pid-file", 0, true},
        {"process-label", 0, true},
        {"apparmor", 0, true},
        {"no-new-privs"},
        {"cap", 'c', true},
        {"preserve-fds", 0, true},
        {"ignore-paused"},
        {"cgroup", 0, true}},
       cmd_exec},
      {"list", "", "list containers", {{"format", 'f', true}, {"quiet", 'q'}}, cmd_list},
      {"ps", "<container-id>", "list the processes of a container", {{"format", 'f', true}}, cmd_ps},
      {"pause", "<container-id>", "freeze a container", {}, cmd_pause},
      {"resume", "<container-id>", "thaw a container", {}, cmd_resume},
      {"update",
       "<container-id>",
       "change resources",
       {{"resources", 'r', true},
        {"cpu-period", 0, true},
        {"cpu-quota", 0, true},
        {"cpu-share", 0, true},
        {"cpuset-cpus", 0, true},
        {"cpuset-mems", 0, true},
        {"memory", 0, true},
        {"memory-reservation", 0, true},
        {"memory-swap", 0, true},
        {"pids-limit", 0, true},
        {"blkio-weight", 0, true}},
       cmd_update},
      {"events", "<container-id>", "print statistics", {{"interval", 0, true}, {"stats"}}, cmd_events},
      {"spec", "", "write a config.json to start from", {{"bundle", 'b', true}, {"rootless"}}, cmd_spec},
      {"features", "", "print what this runtime can do", {}, cmd_features},
  };
  return table;
}

namespace {

const std::vector<Option> global_options = {{"root", 0, true}, {"log", 0, true},   {"log-format", 0, true}, {"log-level", 0, true},
                                            {"debug"},         {"systemd-cgroup"}, {"rootless", 0, true},   {"cgroup-manager", 0, true},
                                            {"criu", 0, true}, {"help", 'h'},      {"version", 'v'}};

const Option* find_option(const std::vector<Option>& options, std::string_view name, char letter) {
  for (const Option& option : options) {
    if (letter ? option.letter == letter : option.name == name) return &option;
  }
  return nullptr;
}

void print_help() {
  printf("estiba-oci: an OCI runtime with runc's command line\n\nusage: estiba-oci [global options] <command> [options]\n\ncommands:\n");
  for (const Verb& verb : verbs()) {
    std::string call(verb.name);
    if (!verb.synopsis.empty()) call.append(" ").append(verb.synopsis);
    printf("  %-34s %s\n", call.c_str(), std::string(verb.summary).c_str());
  }
  printf("  %-34s %s\n", "shim", "serve a pod (started by the server)");
  printf("\nglobal options: --root DIR (%s), --log FILE, --log-format text|json, --debug, --systemd-cgroup\n", Globals().root.c_str());
}

Result<Globals> to_globals(const Arguments& arguments) {
  Globals globals;
  globals.root = arguments.get("root", globals.root);
  globals.log_path = arguments.get("log");
  std::string format = arguments.get("log-format", "text");
  if (format != "text" && format != "json") return fail(Code::invalid, "--log-format: " + format + " is unknown; text or json is wanted");
  globals.log_json = format == "json";
  globals.debug = arguments.has("debug") || arguments.get("log-level") == "debug";
  std::string manager = arguments.get("cgroup-manager");
  globals.systemd_cgroup = arguments.has("systemd-cgroup") || manager == "systemd";
  globals.no_cgroup = manager == "disabled";
  return globals;
}

// Callers such as containerd and podman read the last error from the log file, in logrus' form.
void report(const Globals& globals, const Error& error) {
  fprintf(stderr, "estiba-oci: %s\n", error.message.c_str());
  if (globals.log_path.empty()) return;
  std::string time = format_rfc3339(std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()));
  std::string line;
  if (globals.log_json) {
    line = R"({"level":"error","msg":)";
    json::append_string(line, error.message);
    line += R"(,"time":")" + time + "\"}\n";
  } else {
    line = "time=\"" + time + "\" level=error msg=";
    json::append_string(line, error.message);
    line += "\n";
  }
  (void)os::write_file(globals.log_path, line, O_CREAT | O_APPEND, 0644);
}

}  // namespace

Result<Arguments> parse_arguments(const std::vector<Option>& options, int argc, char** argv, int& at, bool stop_at_word) {
  Arguments out;
  for (; at < argc; at++) {
    std::string_view word = argv[at];
    if (word == "--") {
      at++;
      break;
    }
    if (word.size() < 2 || word[0] != '-') {
      // What follows the first word is for somebody else: a verb's options, or a program's.
      if (stop_at_word) return out;
      out.words.emplace_back(word);
      continue;
    }
    auto [name, value] = split_once(word.substr(word.starts_with("--") ? 2 : 1), '=');
    // As Go's flag parsers have it, "-name" is a long option as well.
    const Option* option = find_option(options, name, name.size() == 1 ? name[0] : 0);
    if (!option) return fail(Code::invalid, "unknown option " + std::string(word));
    if (option->takes_value && !value) {
      if (at + 1 == argc) return fail(Code::invalid, "option " + std::string(word) + " needs a value");
      value = argv[++at];
    }
    if (!option->takes_value && value == "false") continue;
    out.options.emplace(option->name, value.value_or("true"));
  }
  return out;
}

int run_main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc > 1 && std::string_view(argv[1]) == "shim") {
    if (auto safe = os::run_out_of_reach(argv); !safe) return fprintf(stderr, "estiba-oci shim: %s\n", safe.error().message.c_str()), 1;
    return runtime::shim_main(argc - 2, argv + 2);
  }
  int at = 1;
  Globals globals;
  auto work = [&]() -> Result<int> {
    Arguments arguments = TRY(parse_arguments(global_options, argc, argv, at, true));
    globals = TRY(to_globals(arguments));
    log::configure(globals.debug ? log::Level::debug : log::Level::warn, globals.log_json ? log::Format::json : log::Format::text);
    if (arguments.has("version")) {
      printf("estiba-oci version %s\nspec: 1.2.0\n", "0.1.0");
      return 0;
    }
    if (arguments.has("help") || at >= argc || std::string_view(argv[at]) == "help") {
      print_help();
      return at >= argc && !arguments.has("help") ? 1 : 0;
    }
    std::string_view name = argv[at++];
    for (const Verb& verb : verbs()) {
      if (verb.name != name) continue;
      bool program_follows = name == "exec";
      if (name == "create" || name == "run" || program_follows) TRY(os::run_out_of_reach(argv));
      Arguments given = TRY(parse_arguments(verb.options, argc, argv, at, program_follows));
      for (; at < argc; at++) given.words.emplace_back(argv[at]);
      return verb.run(globals, given);
    }
    return fail(Code::invalid, "unknown command " + std::string(name) + "; estiba-oci --help lists them");
  };
  auto done = work();
  if (done) return *done;
  report(globals, done.error());
  return 1;
}

}  // namespace estiba::cli::oci
