// exec.
#include <stdio.h>

#include "base/strings.h"
#include "cli/oci/commands.h"
#include "cli/oci/foreground.h"
#include "model/json.h"
#include "os/file.h"
#include "runtime/container.h"

namespace estiba::cli::oci {

namespace {

Result<void> apply_user(const std::string& text, runtime::SpecUser& user) {
  auto [uid, gid] = split_once(text, ':');
  auto uid_number = parse_number<uint32_t>(uid);
  auto gid_number = gid ? parse_number<uint32_t>(*gid) : std::optional(user.gid);
  if (!uid_number || !gid_number) return fail(Code::invalid, "--user: <uid>[:<gid>] in numbers is wanted, not " + quoted(text));
  user.uid = *uid_number;
  user.gid = *gid_number;
  return {};
}

// The container's own process with what the options change.
Result<runtime::SpecProcess> process_from_options(const Globals& globals, const std::string& id, const Arguments& arguments) {
  runtime::SpecProcess process = TRY(runtime::load_spec(globals.root, id)).process;
  process.args.assign(arguments.words.begin() + 1, arguments.words.end());
  process.terminal = arguments.has("tty");
  process.oom_score_adj.reset();
  if (arguments.has("cwd")) process.cwd = arguments.get("cwd");
  for (const std::string& entry : arguments.all("env")) process.env.push_back(entry);
  if (arguments.has("user")) TRY(apply_user(arguments.get("user"), process.user));
  for (const std::string& gid : arguments.all("additional-gids")) {
    auto number = parse_number<uint32_t>(gid);
    if (!number) return fail(Code::invalid, "--additional-gids: a number is wanted, not " + quoted(gid));
    process.user.additional_gids.push_back(*number);
  }
  if (arguments.has("no-new-privs")) process.no_new_privileges = true;
  for (const std::string& name : arguments.all("cap")) {
    if (!process.capabilities) process.capabilities.emplace();
    for (auto* set : {&process.capabilities->bounding, &process.capabilities->effective, &process.capabilities->permitted}) set->push_back(name);
  }
  return process;
}

Result<runtime::SpecProcess> process_from_file(const std::string& file) {
  json::Document document = TRY(within(file, json::Document::parse(TRY(os::read_file(file)))));
  return runtime::parse_process(document.root(), "process");
}

}  // namespace

Result<int> cmd_exec(const Globals& globals, const Arguments& arguments) {
  if (arguments.words.empty()) return fail(Code::invalid, "a container id is wanted");
  runtime::ExecRequest request{.root = globals.root, .id = arguments.words[0]};
  if (arguments.has("process")) request.process = TRY(process_from_file(arguments.get("process")));
  else request.process = TRY(process_from_options(globals, request.id, arguments));
  if (request.process.args.empty()) return fail(Code::invalid, "a command to run in the container is wanted");
  if (arguments.has("tty")) request.process.terminal = true;
  request.console_socket = arguments.get("console-socket");
  request.preserve_fds = parse_number<int>(arguments.get("preserve-fds", "0")).value_or(0);
  bool detach = arguments.has("detach");
  if (detach && request.process.terminal && request.console_socket.empty()) {
    return fail(Code::invalid, "--detach with a terminal needs --console-socket to say where it goes");
  }
  hold_signals();
  auto launched = runtime::exec(request);
  Result<void> started;
  if (launched) {
    if (arguments.has("pid-file")) TRY(os::write_file_atomic(arguments.get("pid-file"), std::to_string(launched->pid), 0644, false));
    started = launched->start();
  } else {
    started = std::unexpected(launched.error());
  }
  if (!started) {
    if (started.error().code != Code::not_found && started.error().code != Code::forbidden) return std::unexpected(std::move(started.error()));
    // As a shell and runc's callers expect it.
    fprintf(stderr, "estiba-oci: %s\n", started.error().message.c_str());
    return started.error().code == Code::not_found ? 127 : 126;
  }
  return detach ? Result<int>(0) : wait_in_foreground(*launched);
}

}  // namespace estiba::cli::oci
