// docker start, docker attach, docker exec.
#include <cstdio>

#include "base/strings.h"
#include "cli/docker/container_options.h"
#include "cli/docker/session.h"
#include "cli/docker/terminal.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"

namespace estiba::cli::docker {

namespace {

struct Inspected {
  std::string id;
  bool tty = false, open_stdin = false, auto_remove = false, running = false, paused = false, restarting = false;
};

Result<Inspected> inspect_for_attach(Client& client, std::string_view name) {
  const json::Document answer = TRY(client.call({.path = "/containers/" + segment(name) + "/json"}));
  const json::Node& root = answer.root();
  auto truth = [&](auto... path) {
    const json::Node* node = root.at(path...);
    return node && node->as_bool();
  };
  Inspected out;
  out.id = root.string_at("Id");
  out.tty = truth("Config", "Tty");
  out.open_stdin = truth("Config", "OpenStdin");
  out.auto_remove = truth("HostConfig", "AutoRemove");
  out.running = truth("State", "Running");
  out.paused = truth("State", "Paused");
  out.restarting = truth("State", "Restarting");
  return out;
}

Result<void> refuse_input(const Inspected& container, bool input) {
  if (container.tty && input && !is_terminal(0))
    return fail(Code::invalid, "cannot attach stdin to a TTY-enabled container because stdin is not a terminal");
  return {};
}

Result<int> start_attached(Call& call, std::string_view name, bool input, bool sig_proxy, const std::string& keys_flag) {
  Client& client = *TRY(call.cli.client());
  const Inspected container = TRY(inspect_for_attach(client, name));
  const std::string keys = TRY(detach_keys(call.cli, keys_flag));
  input = input && container.open_stdin;
  TRY(refuse_input(container, input));
  const bool proxy = sig_proxy && !container.tty;
  if (proxy) hold_signals();
  Hijacked connection = TRY(attach_to(client, container.id, {.input = input, .detach_keys = keys_flag}));
  connection.multiplexed = !container.tty;
  Waiting waiting = TRY(Waiting::begin(call.cli, container.id, container.auto_remove ? "removed" : "next-exit"));
  TRY(client.text({.method = "POST", .path = "/containers/" + container.id + "/start"}));
  StreamOptions streams{.input = input, .tty = container.tty, .detach_keys = keys};
  streams.resize = [&](WindowSize size) { resize(client, "containers", container.id, size.rows, size.columns); };
  if (proxy) streams.forward = [&](int signal) { forward_signal(client, container.id, signal); };
  if (TRY(stream(std::move(connection), std::move(streams))) == StreamEnd::detached) return 0;
  return waiting.end();
}

}  // namespace

Result<int> start(Call& call) {
  bool attach = false, interactive = false;
  std::string keys, checkpoint, checkpoint_dir;
  Flags flags(call);
  flags.add("attach,a", &attach, "Attach STDOUT/STDERR and forward signals");
  flags.add("interactive,i", &interactive, "Attach container's STDIN");
  flags.add("detach-keys", &keys, "Override the key sequence for detaching a container");
  flags.add("checkpoint", &checkpoint, "Restore from this checkpoint");
  flags.hide();
  flags.add("checkpoint-dir", &checkpoint_dir, "Use a custom checkpoint storage directory");
  flags.hide();
  const Arguments names = TRY(flags.parse());
  if (attach || interactive) {
    if (names.size() > 1) return fail(Code::invalid, "you cannot start and attach multiple containers at once");
    return start_attached(call, names[0], interactive, true, keys);
  }
  Client& client = *TRY(call.cli.client());
  std::vector<std::string> failed;
  for (std::string_view name : names) {
    Request request{.method = "POST", .path = "/containers/" + segment(name) + "/start"};
    if (!checkpoint.empty()) request.query.add("checkpoint", checkpoint);
    if (!checkpoint_dir.empty()) request.query.add("checkpoint-dir", checkpoint_dir);
    if (auto started = client.text(std::move(request)); !started) {
      complain(started.error().message);
      failed.emplace_back(name);
      if (started.error().code == Code::unavailable && started.error().message.starts_with("Cannot connect")) return exit_with(1);
    } else {
      std::printf("%.*s\n", int(name.size()), name.data());
    }
  }
  if (!failed.empty()) return fail(Code::invalid, "Error: failed to start containers: " + join(failed, ", "));
  return 0;
}

Result<int> attach(Call& call) {
  bool no_stdin = false, sig_proxy = true;
  std::string keys_flag;
  Flags flags(call);
  flags.add("no-stdin", &no_stdin, "Do not attach STDIN");
  flags.add("sig-proxy", &sig_proxy, "Proxy all received signals to the process");
  flags.add("detach-keys", &keys_flag, "Override the key sequence for detaching a container");
  const Arguments names = TRY(flags.parse());
  Client& client = *TRY(call.cli.client());
  const Inspected container = TRY(inspect_for_attach(client, names[0]));
  if (!container.running) return fail(Code::invalid, "cannot attach to a stopped container, start it first");
  if (container.paused) return fail(Code::invalid, "cannot attach to a paused container, unpause it first");
  if (container.restarting) return fail(Code::invalid, "cannot attach to a restarting container, wait until it is running");
  const bool input = !no_stdin && container.open_stdin;
  TRY(refuse_input(container, input));
  const std::string keys = TRY(detach_keys(call.cli, keys_flag));
  const bool proxy = sig_proxy && !container.tty;
  if (proxy) hold_signals();
  Hijacked connection = TRY(attach_to(client, container.id, {.input = input, .detach_keys = keys_flag}));
  connection.multiplexed = !container.tty;
  Waiting waiting = TRY(Waiting::begin(call.cli, container.id, "not-running"));
  StreamOptions streams{.input = input, .tty = container.tty, .detach_keys = keys};
  streams.resize = [&](WindowSize size) { resize(client, "containers", container.id, size.rows, size.columns); };
  if (proxy) streams.forward = [&](int signal) { forward_signal(client, container.id, signal); };
  if (TRY(stream(std::move(connection), std::move(streams))) == StreamEnd::detached) return fail(Code::cancelled, "read escape sequence");
  return waiting.end();
}

Result<int> exec(Call& call) {
  bool detach = false, interactive = false, privileged = false, tty = false;
  std::string keys_flag, user, workdir;
  std::vector<std::string> env, env_files;
  Flags flags(call);
  flags.add("detach,d", &detach, "Detached mode: run command in the background");
  flags.add("detach-keys", &keys_flag, "Override the key sequence for detaching a container");
  flags.add("env,e", &env, "Set environment variables");
  flags.add("env-file", &env_files, "Read in a file of environment variables");
  flags.add("interactive,i", &interactive, "Keep STDIN open even if not attached");
  flags.add("privileged", &privileged, "Give extended privileges to the command");
  flags.add("tty,t", &tty, "Allocate a pseudo-TTY");
  flags.add("user,u", &user, "Username or UID (format: \"<name|uid>[:<group|gid>]\")");
  flags.add("workdir,w", &workdir, "Working directory inside the container");
  const Arguments arguments = TRY(flags.parse(true));
  const bool input = interactive && !detach;
  TRY(refuse_input({.tty = tty}, input));
  const std::string keys = TRY(detach_keys(call.cli, keys_flag));
  const auto size = tty ? window_size() : std::nullopt;

  Builder body;
  auto add_size = [&](Object to) {
    if (!size) return;
    json::Node& pair = to.document().make_array();
    to.document().append(pair, to.document().make_int(size->rows));
    to.document().append(pair, to.document().make_int(size->columns));
    to.put("ConsoleSize", pair);
  };
  body.set("User", user).set("Privileged", privileged).set("Tty", tty).set("WorkingDir", workdir).set("Detach", detach);
  body.set("AttachStdin", input).set("AttachStdout", !detach).set("AttachStderr", !detach);
  body.set("Cmd", std::vector<std::string>(arguments.begin() + 1, arguments.end()));
  body.maybe("Env", TRY(gather_env(env_files, env))).maybe("DetachKeys", keys_flag);
  add_size(body);
  Client& client = *TRY(call.cli.client());
  const json::Document created =
      TRY(client.call({.method = "POST", .path = "/containers/" + segment(arguments[0]) + "/exec", .body = body.text()}));
  const std::string id(created.root().string_at("Id"));
  Builder begin;
  begin.set("Detach", detach).set("Tty", tty);
  add_size(begin);
  Request start{.method = "POST", .path = "/exec/" + id + "/start", .body = begin.text()};
  if (detach) {
    TRY(client.text(std::move(start)));
    return 0;
  }
  Hijacked connection = TRY(client.hijack(std::move(start)));
  connection.multiplexed = !tty;
  StreamOptions streams{.input = input, .tty = tty, .detach_keys = keys};
  streams.resize = [&](WindowSize now) { resize(client, "exec", id, now.rows, now.columns); };
  if (TRY(stream(std::move(connection), std::move(streams))) == StreamEnd::detached) return fail(Code::cancelled, "read escape sequence");
  const json::Document ended = TRY(client.call({.path = "/exec/" + id + "/json"}));
  const json::Node* code = ended.root().find("ExitCode");
  return code ? int(code->as_int().value_or(0)) : 0;
}

}  // namespace estiba::cli::docker
