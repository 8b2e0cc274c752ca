#include "runtime/shim_server.h"

#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/credentials.h"
#include "os/file.h"
#include "os/namespace.h"
#include "os/process.h"
#include "os/user_namespace.h"
#include "runtime/decode.h"
#include "runtime/launch_impl.h"
#include "runtime/sysctl.h"

namespace estiba::runtime {

Result<PodOptions> parse_pod_options(const json::Node& node) {
  PodOptions out;
  TRY(read(node, "id", "", out.id));
  TRY(read(node, "dir", "", out.dir));
  TRY(read(node, "networkNamespace", "", out.network_namespace));
  TRY(read(node, "userNamespace", "", out.user_namespace));
  TRY(read(node, "hostname", "", out.hostname));
  TRY(read(node, "domainname", "", out.domainname));
  TRY(read(node, "hostIpc", "", out.host_ipc));
  TRY(read(node, "sharePid", "", out.share_pid));
  TRY(read(node, "cgroup", "", out.cgroup));
  TRY(read(node, "resources", "", out.resources));
  std::map<std::string, std::string> sysctls;
  TRY(read(node, "sysctls", "", sysctls));
  for (auto& [key, value] : sysctls) out.sysctls.emplace_back(key, value);
  if (!out.dir.starts_with('/')) return fail(Code::invalid, "shim: dir must be an absolute path");
  return out;
}

ShimServer::ShimServer(PodOptions options) : options_(std::move(options)), context_{loop_, options_.dir, {}, 1, {}} {
  context_.emit = [this](const ShimEvent& event) { emit(event); };
  context_.await_end = [this](pid_t pid) { await_end(pid); };
}

Result<void> ShimServer::open(os::Fd first, wire::Reader reader) {
  std::string path = options_.dir + "/shim.sock";
  if (os::connect_unix(path, SOCK_STREAM)) return fail(Code::already_exists, options_.dir + " has a living shim");
  TRY(os::make_dirs(options_.dir, 0700));
  TRY(os::make_dir(options_.dir + "/containers", 0700));
  TRY(loop_.open());
  TRY(os::become_subreaper());
  (void)os::set_oom_score_adj(0, -998);  // without CAP_SYS_RESOURCE it stays as it is
  TRY(watch_children());
  TRY(make_namespaces());
  TRY(make_cgroup());
  json::Document document;
  TRY(os::write_file_atomic(options_.dir + "/shim.json", json::print(describe(document)), 0600, false));
  listener_ = TRY(os::listen_unix(path, SOCK_STREAM | SOCK_NONBLOCK));
  TRY(loop_.watch(listener_.get(), EPOLLIN, [this](uint32_t) {
    if (auto socket = os::accept_unix(listener_.get())) add_connection(std::move(*socket));
  }));
  add_connection(std::move(first), std::move(reader));
  return {};
}

Result<void> ShimServer::watch_children() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  signals_.reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return fail_errno("signalfd");
  return loop_.watch(signals_.get(), EPOLLIN, [this](uint32_t) {
    signalfd_siginfo info;
    while (read(signals_.get(), &info, sizeof info) > 0) {
    }
    reap();
  });
}

Result<void> ShimServer::make_namespaces() {
  if (!options_.network_namespace.empty()) {
    os::Fd ns = TRY(os::open_namespace(options_.network_namespace, CLONE_NEWNET));
    TRY(os::enter_namespace(ns.get(), CLONE_NEWNET));
  }
  if (!options_.user_namespace.empty()) user_namespace_ = TRY(os::open_namespace(options_.user_namespace, CLONE_NEWUSER));
  int kinds = (options_.host_ipc ? 0 : CLONE_NEWIPC) | (options_.hostname.empty() ? 0 : CLONE_NEWUTS);
  TRY(enter_new(kinds));
  if (!options_.hostname.empty()) TRY(os::set_hostname(options_.hostname));
  if (!options_.domainname.empty()) TRY(os::set_domainname(options_.domainname));
  TRY(write_sysctls());
  return options_.share_pid ? start_pid_namespace() : Result<void>();
}

// They belong to the pod's user namespace, so that its root may do there what root may do.
Result<void> ShimServer::enter_new(int kinds) {
  if (!kinds) return {};
  if (!user_namespace_) return os::unshare(kinds);
  for (int kind : {CLONE_NEWIPC, CLONE_NEWUTS}) {
    if (!(kinds & kind)) continue;
    os::Fd made = TRY(os::new_namespace_inside(user_namespace_.get(), kind));
    TRY(os::enter_namespace(made.get(), kind));
  }
  return {};
}

// For a child of this process: it is root there from now on. The host's root among the pod's processes, which those of them who may trace
// others could take over, must not be: nobody may look into it before its numbers are the pod's.
static Result<void> enter_user_namespace(int user) {
  TRY(os::set_dumpable(false));
  TRY(os::enter_namespace(user, CLONE_NEWUSER));
  TRY(os::set_groups({}));
  TRY(os::set_gid(0));
  TRY(os::set_uid(0));
  return os::set_dumpable(false);
}

Result<void> ShimServer::write_sysctls() {
  if (options_.sysctls.empty()) return {};
  auto write_all = [this]() -> Result<void> {
    const OwnNamespaces own = {
        .network = !options_.network_namespace.empty(), .ipc = !options_.host_ipc, .uts = !options_.hostname.empty()};
    for (const auto& [key, value] : options_.sysctls) TRY(write_sysctl(key, value, own));
    return {};
  };
  if (!user_namespace_) return write_all();
  // To those of an ipc namespace only the root of its user namespace may write (ipc_permissions() in ipc/ipc_sysctl.c).
  auto [ours, theirs] = TRY(os::make_socketpair(SOCK_SEQPACKET));
  const pid_t pid = TRY(os::clone_process({}));
  if (pid == 0) {
    auto work = [&]() -> Result<void> {
      TRY(enter_user_namespace(user_namespace_.get()));
      return write_all();
    };
    if (auto done = work(); !done)
      (void)launch_detail::send(theirs.get(), launch_detail::msg_error, launch_detail::encode_error(done.error()));
    _exit(0);
  }
  theirs.reset();
  const auto said = launch_detail::receive(ours.get());
  (void)os::wait_child(pid);
  if (said && said->kind == launch_detail::msg_error) return std::unexpected(launch_detail::decode_error(said->text));
  return {};
}

// The first process of the pod's shared pid namespace: it reaps what containers leave behind, and when it ends, all end.
[[noreturn]] static void run_init() {
  (void)os::set_parent_death_signal(SIGKILL);
  os::set_process_name("estiba-init");
  for (int fd = 0; fd < 1024; fd++) close(fd);
  while (true) {
    if (waitpid(-1, nullptr, 0) >= 0) continue;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);  // blocked since the shim began, so none is lost between the two calls
    siginfo_t info;
    sigwaitinfo(&set, &info);
  }
}

Result<void> ShimServer::start_pid_namespace() {
  if (user_namespace_) return start_pid_namespace_inside();
  // From now on every child of this process is born in the new namespace, the first as its init.
  TRY(os::unshare(CLONE_NEWPID));
  init_ = TRY(os::clone_process({}));
  if (init_ == 0) run_init();
  return {};
}

// The same, where the namespace belongs to the pod's user namespace: a process that has entered that makes it, and ends.
Result<void> ShimServer::start_pid_namespace_inside() {
  auto [ours, theirs] = TRY(os::make_socketpair(SOCK_SEQPACKET));
  const pid_t stage = TRY(os::clone_process({}));
  if (stage == 0) {
    os::Fd pidfd;
    auto work = [&]() -> Result<void> {
      os::Fd proc;
      if (!os::has_pidfds()) proc = TRY(os::open_file("/proc", O_PATH | O_DIRECTORY));
      TRY(enter_user_namespace(user_namespace_.get()));
      if (TRY(os::clone_process({.flags = CLONE_NEWPID | CLONE_PARENT, .pidfd = &pidfd})) == 0) {
        if (proc) launch_detail::tell_process(theirs.get(), proc);
        run_init();
      }
      return pidfd ? launch_detail::send(theirs.get(), launch_detail::msg_pid, {}, pidfd.get()) : Result<void>();
    };
    if (auto done = work(); !done)
      (void)launch_detail::send(theirs.get(), launch_detail::msg_error, launch_detail::encode_error(done.error()));
    _exit(0);
  }
  theirs.reset();
  auto first = launch_detail::receive(ours.get());
  (void)os::wait_child(stage);
  launch_detail::Message message = TRY(std::move(first));
  if (message.kind == launch_detail::msg_error) return std::unexpected(launch_detail::decode_error(message.text));
  if (message.fds.empty()) return fail(Code::internal, "the first process of the pid namespace was not made");
  init_ = TRY(os::pid_of(message.fds[0].get()));
  return os::enter_namespace(TRY(os::open_namespace(init_, CLONE_NEWPID)).get(), CLONE_NEWPID);
}

Result<void> ShimServer::make_cgroup() {
  if (options_.cgroup.empty()) return {};
  cgroup_ = TRY(os::Cgroup::at(options_.cgroup));
  TRY(cgroup_->create());
  if (options_.resources.empty()) return {};
  json::Document document = TRY(within("pod resources", json::Document::parse(options_.resources)));
  return within("pod resources", cgroup_->apply(TRY(parse_resources(document.root(), "resources"))));
}

// Connections.

void ShimServer::add_connection(os::Fd socket, wire::Reader reader) {
  auto connection = std::make_shared<Connection>();
  connection->socket = std::move(socket);
  connection->reader = std::move(reader);
  if (!os::set_nonblocking(connection->socket.get())) return;
  connections_.push_back(connection);
  (void)loop_.watch(connection->socket.get(), EPOLLIN, [this, connection](uint32_t events) { serve(connection, events); });
  json::Document document;
  json::Node& hello = document.make_object();
  document.set(hello, "event", std::string_view("hello"));
  document.set(hello, "protocol", document.make_int(wire::protocol_version));
  document.set(hello, "pod", describe(document));
  send(connection, json::print(hello));
  // What the server sent along with its first request.
  serve_frames(connection);
}

void ShimServer::serve_frames(const ConnectionRef& connection) {
  while (!connection->closing) {
    auto frame = connection->reader.next();
    if (!frame) return;
    handle(connection, *frame);
  }
}

void ShimServer::serve(const ConnectionRef& connection, uint32_t events) {
  if (events & EPOLLOUT) {
    auto empty = connection->writer.flush(connection->socket.get());
    if (!empty) return drop(connection);
    if (*empty) (void)loop_.change(connection->socket.get(), EPOLLIN);
  }
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  auto open = connection->reader.fill(connection->socket.get());
  serve_frames(connection);
  if (!open || !*open) drop(connection);
}

void ShimServer::drop(const ConnectionRef& connection) {
  if (connection->closing) return;
  connection->closing = true;
  loop_.forget(connection->socket.get());
  connection->socket.reset();
  ConnectionRef held = connection;
  connections_.remove(held);
}

void ShimServer::send(const ConnectionRef& connection, std::string text, std::vector<os::Fd> fds) {
  if (connection->closing) return;
  connection->writer.add(std::move(text), std::move(fds));
  auto empty = connection->writer.flush(connection->socket.get());
  if (!empty) return drop(connection);
  if (!*empty) (void)loop_.change(connection->socket.get(), EPOLLIN | EPOLLOUT);
}

void ShimServer::answer(const ConnectionRef& connection, int64_t id, Reply& reply, const Result<void>& result) {
  json::Node& node = reply.document.make_object();
  reply.document.set(node, "id", reply.document.make_int(id));
  if (!result) wire::put_error(reply.document, node, result.error());
  else reply.document.set(node, "result", reply.result ? *reply.result : reply.document.make_object());
  send(connection, json::print(node), std::move(reply.fds));
}

void ShimServer::handle(const ConnectionRef& connection, wire::Frame& frame) {
  auto document = json::Document::parse(frame.text, {.max_depth = 64});
  // What cannot be understood at all has no id that could be answered.
  if (!document || !document->root().is_object()) return drop(connection);
  const json::Node& root = document->root();
  int64_t id = root.find("id") ? root.find("id")->as_int().value_or(0) : 0;
  std::string_view name = root.string_at("op");
  json::Document none;
  json::Node& empty = none.make_object();
  const json::Node* arguments = root.find("args");
  Request request{connection, id, arguments && arguments->is_object() ? *arguments : empty, frame.fds};
  Reply reply;
  for (const Operation* operation = operations; operation->handler; operation++) {
    if (operation->name != name) continue;
    Result<void> result = (this->*operation->handler)(request, reply);
    if (!reply.deferred) answer(connection, id, reply, result);
    if (ending_) {
      // The answer must be out before the process ends.
      (void)os::set_nonblocking(connection->closing ? -1 : connection->socket.get(), false);
      if (!connection->closing) (void)connection->writer.flush(connection->socket.get());
      loop_.stop();
    }
    return;
  }
  answer(connection, id, reply,
         fail(Code::unsupported, "this shim (protocol " + std::to_string(wire::protocol_version) + ") has no operation " + quoted(name)));
}

void ShimServer::emit(const ShimEvent& event) {
  static constexpr std::string_view names[] = {"exit", "execExit", "oom"};
  json::Document document;
  json::Node& node = document.make_object();
  document.set(node, "event", names[int(event.kind)]);
  document.set(node, "container", event.container);
  if (event.session) document.set(node, "session", document.make_int(int64_t(event.session)));
  document.set(node, "exitCode", document.make_int(event.exit_code));
  document.set(node, "signal", document.make_int(event.signal));
  document.set(node, "oomKilled", document.make_bool(event.oom_killed));
  document.set(node, "at", document.make_int(wire::to_ns(event.at)));
  std::string text = json::print(node);
  auto all = connections_;
  for (const ConnectionRef& connection : all) send(connection, text);
}

void ShimServer::reap() {
  while (true) {
    auto one = os::reap_any();
    if (!one || !*one) return;
    ended((*one)->first, (*one)->second);
  }
}

void ShimServer::ended(pid_t pid, const os::ExitStatus& status) {
  if (auto exec = exec_pids_.find(pid); exec != exec_pids_.end()) {
    uint64_t session = exec->second;
    exec_pids_.erase(exec);
    return end_exec(session, status);
  }
  for (auto& [id, container] : containers_) {
    if (container->info().pid == pid && container->info().status != ContainerStatus::stopped) return container->reaped(status);
  }
}

void ShimServer::await_end(pid_t pid) {
  while (true) {
    auto one = os::wait_any();
    if (!one) return;
    ended(one->first, one->second);
    if (one->first == pid) return;
  }
}

void ShimServer::end_exec(uint64_t session, const os::ExitStatus& status) {
  ExecState& exec = execs_[session];
  exec.ended = true;
  exec.exit_code = status.code;
  exec.terminal.reset();
  emit({.kind = ShimEvent::Kind::exec_exit,
        .container = exec.container,
        .session = session,
        .exit_code = status.code,
        .signal = status.signal,
        .at = wire::wall_now()});
  bool told = false;
  for (auto& [weak, id] : exec.waiting) {
    auto connection = weak.lock();
    if (!connection) continue;
    Reply reply;
    reply.result = &reply.document.make_object();
    reply.document.set(*reply.result, "exitCode", reply.document.make_int(status.code));
    answer(connection, id, reply, {});
    told = true;
  }
  if (told) execs_.erase(session);
  // Those that nobody asks after are forgotten, oldest first.
  size_t ended = 0;
  for (const auto& [id, state] : execs_) ended += state.ended;
  for (auto it = execs_.begin(); it != execs_.end() && ended > 64;) {
    if (it->second.ended) {
      it = execs_.erase(it);
      ended--;
    } else {
      ++it;
    }
  }
}

json::Node& ShimServer::describe(json::Document& document) const {
  json::Node& node = document.make_object();
  document.set(node, "id", options_.id);
  document.set(node, "shimPid", document.make_int(getpid()));
  document.set(node, "pidNamespaceInit", document.make_int(init_));
  document.set(node, "protocol", document.make_int(wire::protocol_version));
  document.set(node, "networkNamespace", options_.network_namespace);
  document.set(node, "cgroup", options_.cgroup);
  json::Node& list = document.make_array();
  for (const auto& [id, container] : containers_) document.append(list, wire::put_container(document, container->info()));
  document.set(node, "containers", list);
  return node;
}

}  // namespace estiba::runtime
