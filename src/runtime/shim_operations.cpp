// The shim's operations: from a request's arguments to the container, and back.
#include <signal.h>

#include "os/file.h"
#include "os/process.h"
#include "os/pty.h"
#include "runtime/decode.h"
#include "runtime/shim_server.h"

namespace estiba::runtime {

const ShimServer::Operation ShimServer::operations[] = {{"run", &ShimServer::op_run},
                                                        {"pids", &ShimServer::op_pids},
                                                        {"state", &ShimServer::op_state},
                                                        {"create", &ShimServer::op_create},
                                                        {"start", &ShimServer::op_start},
                                                        {"kill", &ShimServer::op_kill},
                                                        {"stop", &ShimServer::op_stop},
                                                        {"remove", &ShimServer::op_remove},
                                                        {"pause", &ShimServer::op_pause},
                                                        {"resume", &ShimServer::op_resume},
                                                        {"update", &ShimServer::op_update},
                                                        {"stats", &ShimServer::op_stats},
                                                        {"exec", &ShimServer::op_exec},
                                                        {"waitExec", &ShimServer::op_wait_exec},
                                                        {"killExec", &ShimServer::op_kill_exec},
                                                        {"attach", &ShimServer::op_attach},
                                                        {"resize", &ShimServer::op_resize},
                                                        {"closeStdin", &ShimServer::op_close_stdin},
                                                        {"reopenLog", &ShimServer::op_reopen_log},
                                                        {"shutdown", &ShimServer::op_shutdown},
                                                        {"", nullptr}};

Result<ShimContainer*> ShimServer::find(const Request& request) {
  std::string id;
  TRY(read(request.arguments, "container", "", id));
  auto it = containers_.find(id);
  if (it == containers_.end()) return fail(Code::not_found, "pod " + options_.id + " has no container " + quoted(id));
  return it->second.get();
}

json::Node& ShimServer::put_session(Reply& reply, Session& session) {
  json::Document& document = reply.document;
  json::Node& node = document.make_object();
  document.set(node, "session", document.make_int(int64_t(session.id)));
  document.set(node, "pid", document.make_int(session.pid));
  json::Node& names = document.make_array();
  auto give = [&](std::string_view name, os::Fd& fd) {
    if (!fd) return;
    document.append(names, document.make_string(name));
    reply.fds.push_back(std::move(fd));
  };
  give("stdin", session.stdin_fd);
  give("stdout", session.stdout_fd);
  give("stderr", session.stderr_fd);
  document.set(node, "fds", names);
  return node;
}

Result<void> ShimServer::op_state(const Request&, Reply& reply) {
  reply.result = &describe(reply.document);
  return {};
}

Result<ShimContainer*> ShimServer::create(const Request& request) {
  const json::Node& args = request.arguments;
  ContainerOptions options;
  TRY(read(args, "container", "", options.id));
  TRY(read(args, "bundle", "", options.bundle));
  TRY(read(args, "stdin", "", options.stdin_open));
  TRY(read(args, "stdinOnce", "", options.stdin_once));
  if (const json::Node* log = TRY(find_object(args, "log", ""))) {
    TRY(read(*log, "path", "log", options.log.path));
    TRY(read(*log, "maxBytes", "log", options.log.max_bytes));
    TRY(read(*log, "maxFiles", "log", options.log.max_files));
  }
  if (options.id.empty() || options.id.find('/') != std::string::npos || options.id[0] == '.') {
    return fail(Code::invalid, "container id " + quoted(options.id) + " must be a plain name");
  }
  if (containers_.contains(options.id))
    return fail(Code::already_exists, "pod " + options_.id + " has a container " + options.id + " already");
  StartStreams streams;
  std::vector<std::string> names;
  TRY(read(args, "fds", "", names));
  for (size_t i = 0; i < names.size() && i < request.fds.size(); i++) {
    if (names[i] == "input") streams.input = std::move(request.fds[i]);
    if (names[i] == "inputWriter") streams.input_writer = std::move(request.fds[i]);
    if (names[i] == "out") streams.attached.push_back({std::move(request.fds[i]), {}});
    if (names[i] == "err" && !streams.attached.empty()) streams.attached.back().err = std::move(request.fds[i]);
  }
  auto made = ShimContainer::create(context_, options, std::move(streams));
  if (!made) return std::unexpected(std::move(made.error()));
  return containers_.emplace(options.id, std::move(*made)).first->second.get();
}

Result<void> ShimServer::op_create(const Request& request, Reply& reply) {
  ShimContainer* container = TRY(create(request));
  reply.result = &wire::put_container(reply.document, container->info());
  return {};
}

Result<void> ShimServer::op_run(const Request& request, Reply& reply) {
  ShimContainer* container = TRY(create(request));
  if (auto started = container->start(); !started) {
    if (auto removed = container->remove(true)) containers_.erase(container->info().id);
    return started;
  }
  reply.result = &wire::put_container(reply.document, container->info());
  return {};
}

Result<void> ShimServer::op_pids(const Request& request, Reply& reply) {
  json::Node& list = reply.document.make_array();
  for (pid_t pid : TRY(TRY(find(request))->pids())) reply.document.append(list, reply.document.make_int(pid));
  reply.result = &reply.document.make_object();
  reply.document.set(*reply.result, "pids", list);
  return {};
}

Result<void> ShimServer::op_start(const Request& request, Reply& reply) {
  ShimContainer* container = TRY(find(request));
  TRY(container->start());
  reply.result = &wire::put_container(reply.document, container->info());
  return {};
}

Result<void> ShimServer::op_kill(const Request& request, Reply&) {
  ShimContainer* container = TRY(find(request));
  int signal = SIGTERM;
  bool all = false;
  TRY(read(request.arguments, "signal", "", signal));
  TRY(read(request.arguments, "all", "", all));
  return container->signal(signal, all);
}

Result<void> ShimServer::op_stop(const Request& request, Reply&) {
  ShimContainer* container = TRY(find(request));
  int signal = SIGTERM;
  int64_t grace_ns = 0;
  TRY(read(request.arguments, "signal", "", signal));
  TRY(read(request.arguments, "graceNs", "", grace_ns));
  return container->stop(signal, Duration(grace_ns));
}

Result<void> ShimServer::op_remove(const Request& request, Reply&) {
  bool force = false;
  TRY(read(request.arguments, "force", "", force));
  auto container = find(request);
  if (!container && container.error().code == Code::not_found) return {};
  TRY((*container)->remove(force));
  containers_.erase((*container)->info().id);
  return {};
}

Result<void> ShimServer::op_pause(const Request& request, Reply&) { return TRY(find(request))->pause(); }
Result<void> ShimServer::op_resume(const Request& request, Reply&) { return TRY(find(request))->resume(); }

Result<void> ShimServer::op_update(const Request& request, Reply&) {
  std::string resources;
  TRY(read(request.arguments, "resources", "", resources));
  return TRY(find(request))->update(resources);
}

Result<void> ShimServer::op_stats(const Request& request, Reply& reply) {
  if (request.arguments.find("container")) {
    reply.result = &wire::put_stats(reply.document, TRY(TRY(find(request))->stats()));
    return {};
  }
  if (!cgroup_) return fail(Code::unsupported, "pod " + options_.id + " has no cgroup");
  reply.result = &wire::put_stats(reply.document, to_container_stats(TRY(cgroup_->stats())));
  return {};
}

Result<void> ShimServer::op_exec(const Request& request, Reply& reply) {
  ShimContainer* container = TRY(find(request));
  const json::Node& args = request.arguments;
  ExecOptions options;
  options.container = container->info().id;
  TRY(read(args, "args", "", options.args));
  TRY(read(args, "env", "", options.env));
  TRY(read(args, "cwd", "", options.cwd));
  TRY(read(args, "user", "", options.user));
  TRY(read(args, "allCapabilities", "", options.all_capabilities));
  TRY(read(args, "tty", "", options.tty));
  TRY(read(args, "stdin", "", options.stdin_open));
  TRY(read(args, "columns", "", options.columns));
  TRY(read(args, "rows", "", options.rows));
  ShimContainer::Exec exec = TRY(container->exec(options));
  ExecState& state = execs_[exec.session.id];
  state.container = options.container;
  state.terminal = std::move(exec.terminal);
  exec_pids_[exec.session.pid] = exec.session.id;
  reply.result = &put_session(reply, exec.session);
  return {};
}

Result<void> ShimServer::op_wait_exec(const Request& request, Reply& reply) {
  uint64_t session = 0;
  TRY(read(request.arguments, "session", "", session));
  auto it = execs_.find(session);
  if (it == execs_.end()) return fail(Code::not_found, "no exec session " + std::to_string(session));
  if (!it->second.ended) {
    it->second.waiting.emplace_back(request.connection, request.id);
    reply.deferred = true;
    return {};
  }
  reply.result = &reply.document.make_object();
  reply.document.set(*reply.result, "exitCode", reply.document.make_int(it->second.exit_code));
  execs_.erase(it);
  return {};
}

Result<void> ShimServer::op_kill_exec(const Request& request, Reply&) {
  uint64_t session = 0;
  int signal = SIGTERM;
  TRY(read(request.arguments, "session", "", session));
  TRY(read(request.arguments, "signal", "", signal));
  for (const auto& [pid, id] : exec_pids_) {
    if (id == session) return os::send_signal(pid, signal);  // not reaped yet, so the number is still its own
  }
  return fail(Code::not_found, "exec session " + std::to_string(session) + " has ended");
}

Result<void> ShimServer::op_attach(const Request& request, Reply& reply) {
  ShimContainer* container = TRY(find(request));
  bool with_stdin = false, hold = false;
  TRY(read(request.arguments, "stdin", "", with_stdin));
  TRY(read(request.arguments, "hold", "", hold));
  Session session = TRY(container->attach(with_stdin, hold));
  reply.result = &put_session(reply, session);
  return {};
}

Result<void> ShimServer::op_resize(const Request& request, Reply&) {
  uint64_t session = 0;
  uint16_t columns = 0, rows = 0;
  TRY(read(request.arguments, "session", "", session));
  TRY(read(request.arguments, "columns", "", columns));
  TRY(read(request.arguments, "rows", "", rows));
  if (request.arguments.find("container")) return TRY(find(request))->resize(columns, rows);
  if (auto it = execs_.find(session); it != execs_.end()) {
    if (!it->second.terminal) return fail(Code::invalid, "exec session " + std::to_string(session) + " has no terminal");
    return os::set_window_size(it->second.terminal.get(), columns, rows);
  }
  for (auto& [id, container] : containers_) {
    if (container->has_session(session)) return container->resize(columns, rows);
  }
  return fail(Code::not_found, "no session " + std::to_string(session));
}

Result<void> ShimServer::op_close_stdin(const Request& request, Reply&) {
  TRY(find(request))->close_stdin();
  return {};
}

Result<void> ShimServer::op_reopen_log(const Request& request, Reply&) { return TRY(find(request))->reopen_log(); }

Result<void> ShimServer::op_shutdown(const Request&, Reply&) {
  for (auto it = containers_.begin(); it != containers_.end(); it = containers_.erase(it)) TRY(it->second->remove(true));
  if (init_ > 0) {
    (void)os::send_signal(init_, SIGKILL);
    await_end(init_);
    init_ = 0;
  }
  if (cgroup_ && cgroup_->exists()) {
    TRY(cgroup_->kill_all());
    TRY(cgroup_->remove());
    // The parent of all pods goes with the last one.
    size_t slash = options_.cgroup.rfind('/');
    if (slash > 0) TRY(os::Cgroup::at(options_.cgroup.substr(0, slash))).remove_if_empty();
  }
  TRY(os::remove_all(options_.dir));
  ending_ = true;
  return {};
}

}  // namespace estiba::runtime
