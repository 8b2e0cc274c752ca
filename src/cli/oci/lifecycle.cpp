// create, start, run, kill, delete, pause, resume, update.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/signals.h"
#include "base/strings.h"
#include "cli/oci/commands.h"
#include "cli/oci/foreground.h"
#include "model/json.h"
#include "os/file.h"
#include "os/process.h"
#include "runtime/container.h"

namespace estiba::cli::oci {

namespace {

Result<std::string> need_id(const Arguments& arguments) {
  if (arguments.words.empty()) return fail(Code::invalid, "a container id is wanted");
  return arguments.words[0];
}

Result<std::string> absolute(const std::string& path) {
  char* real = realpath(path.c_str(), nullptr);
  if (!real) return fail_errno("bundle " + path);
  std::string out = real;
  free(real);
  return out;
}

Result<runtime::CreateOptions> create_options(const Globals& globals, const Arguments& arguments) {
  runtime::CreateOptions options;
  options.root = globals.root;
  options.id = TRY(need_id(arguments));
  options.bundle = TRY(absolute(arguments.get("bundle", ".")));
  options.pid_file = arguments.get("pid-file");
  options.console_socket = arguments.get("console-socket");
  options.no_pivot = arguments.has("no-pivot");
  options.no_cgroup = globals.no_cgroup;
  options.systemd_cgroup = globals.systemd_cgroup;
  auto count = parse_number<int>(arguments.get("preserve-fds", "0"));
  if (!count || *count < 0) return fail(Code::invalid, "--preserve-fds: a number is wanted");
  options.preserve_fds = *count;
  // Sockets that systemd hands over (sd_listen_fds(3)) are kept open as well.
  if (const char* listen = getenv("LISTEN_FDS")) options.preserve_fds += parse_number<int>(listen).value_or(0);
  return options;
}

}  // namespace

Result<int> cmd_create(const Globals& globals, const Arguments& arguments) {
  TRY(runtime::create(TRY(create_options(globals, arguments))));
  return 0;
}

Result<int> cmd_start(const Globals& globals, const Arguments& arguments) {
  TRY(runtime::start(globals.root, TRY(need_id(arguments))));
  return 0;
}

Result<int> cmd_run(const Globals& globals, const Arguments& arguments) {
  runtime::CreateOptions options = TRY(create_options(globals, arguments));
  options.attached = true;
  bool detach = arguments.has("detach");
  hold_signals();
  // What the container leaves behind without a pid namespace of its own is this command's to reap.
  if (!detach && !arguments.has("no-subreaper")) TRY(os::become_subreaper());
  auto made = runtime::create(options);
  if (!made) {
    fprintf(stderr, "estiba-oci: %s\n", made.error().message.c_str());
    return made.error().code == Code::not_found ? 127 : made.error().code == Code::forbidden ? 126 : 1;
  }
  runtime::Container container = std::move(*made);
  auto started = container.process.start();
  if (started) started = runtime::after_start(container.state, container.spec);
  if (!started) {
    (void)runtime::remove(options.root, options.id, true);
    return std::unexpected(std::move(started.error()));
  }
  if (detach) return 0;
  int code = TRY(wait_in_foreground(container.process));
  if (!arguments.has("keep")) TRY(runtime::remove(options.root, options.id, true));
  return code;
}

Result<int> cmd_kill(const Globals& globals, const Arguments& arguments) {
  std::string id = TRY(need_id(arguments));
  std::string name = arguments.words.size() > 1 ? arguments.words[1] : "SIGTERM";
  auto signal = signal_number(name);
  if (!signal) return fail(Code::invalid, "unknown signal " + name);
  TRY(runtime::kill(globals.root, id, *signal, arguments.has("all")));
  return 0;
}

Result<int> cmd_delete(const Globals& globals, const Arguments& arguments) {
  TRY(runtime::remove(globals.root, TRY(need_id(arguments)), arguments.has("force")));
  return 0;
}

Result<int> cmd_pause(const Globals& globals, const Arguments& arguments) {
  TRY(runtime::pause(globals.root, TRY(need_id(arguments))));
  return 0;
}

Result<int> cmd_resume(const Globals& globals, const Arguments& arguments) {
  TRY(runtime::resume(globals.root, TRY(need_id(arguments))));
  return 0;
}

namespace {
template <class N>
Result<void> read_option(const Arguments& arguments, std::string_view name, std::optional<N>& out) {
  if (!arguments.has(name)) return {};
  auto value = parse_number<N>(arguments.get(name));
  if (!value) return fail(Code::invalid, "--" + std::string(name) + ": a number is wanted, not " + quoted(arguments.get(name)));
  out = *value;
  return {};
}
}  // namespace

Result<int> cmd_update(const Globals& globals, const Arguments& arguments) {
  std::string id = TRY(need_id(arguments));
  os::CgroupResources resources;
  if (arguments.has("resources")) {
    std::string file = arguments.get("resources");
    std::string text = TRY(file == "-" ? os::read_all(0) : os::read_file(file));
    json::Document document = TRY(within(file, json::Document::parse(text)));
    resources = TRY(runtime::parse_resources(document.root(), "resources"));
  }
  TRY(read_option(arguments, "cpu-period", resources.cpu_period_us));
  TRY(read_option(arguments, "cpu-quota", resources.cpu_quota_us));
  TRY(read_option(arguments, "cpu-share", resources.cpu_shares));
  TRY(read_option(arguments, "memory", resources.memory_limit));
  TRY(read_option(arguments, "memory-reservation", resources.memory_reservation));
  TRY(read_option(arguments, "memory-swap", resources.memory_swap));
  TRY(read_option(arguments, "pids-limit", resources.pids_limit));
  TRY(read_option(arguments, "blkio-weight", resources.blkio_weight));
  if (arguments.has("cpuset-cpus")) resources.cpuset_cpus = arguments.get("cpuset-cpus");
  if (arguments.has("cpuset-mems")) resources.cpuset_mems = arguments.get("cpuset-mems");
  TRY(runtime::update(globals.root, id, resources));
  return 0;
}

}  // namespace estiba::cli::oci
