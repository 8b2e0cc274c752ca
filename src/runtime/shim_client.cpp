#include "runtime/shim_client.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <deque>
#include <map>
#include <mutex>

#include "io/loop.h"
#include "model/json.h"
#include "os/file.h"
#include "os/process.h"
#include "runtime/decode.h"
#include "runtime/shim_wire.h"

namespace estiba::runtime {

namespace {

struct Answer {
  json::Document document;
  std::vector<os::Fd> fds;
  const json::Node& result() const { return *document.root().find("result"); }
};

// One request on its way. Both sides hold it: the coroutine may be dropped, and so may the client.
struct Waiting {
  Event done;
  std::optional<Result<Answer>> answer;
};

}  // namespace

struct ShimClient::Impl {
  io::Loop* loop = io::Loop::current();
  os::Fd socket;
  wire::Reader reader;
  wire::Writer writer;
  int64_t next_id = 1;
  std::map<int64_t, std::shared_ptr<Waiting>> waiting;
  EventHandler handler;
  std::deque<ShimEvent> events;  // until there is a handler
  std::shared_ptr<Waiting> hello = std::make_shared<Waiting>();
  bool closed = false;
  bool dispatching = false;
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);

  ~Impl() {
    *alive = false;
    handler.reset();
    close(Error{Code::cancelled, 0, "the shim's client was closed", nullptr});
  }

  Result<void> open(os::Fd fd) {
    if (!loop) return fail(Code::internal, "a shim client is made on an io::Loop's thread only");
    TRY(os::set_nonblocking(fd.get()));
    socket = std::move(fd);
    return loop->watch(socket.get(), EPOLLIN, [this](uint32_t events_now) { serve(events_now); });
  }

  void close(Error error) {
    if (closed) return;
    closed = true;
    if (socket) loop->unwatch(socket.get());
    socket.reset();
    auto left = std::move(waiting);
    waiting.clear();
    left[0] = hello;
    for (auto& [id, one] : left) {
      if (!one->answer) one->answer = std::unexpected(error);
      one->done.set();
    }
    deliver({.kind = ShimEvent::Kind::disconnected});
  }

  void serve(uint32_t events_now) {
    if (events_now & EPOLLOUT) flush();
    if (closed) return;
    auto open = reader.fill(socket.get());
    auto still_alive = alive;
    while (auto frame = reader.next()) {
      take(*frame);
      if (!*still_alive || closed) return;
    }
    if (!open) close(std::move(open.error()));
    else if (!*open) close(Error{Code::unavailable, 0, "the shim has closed the connection", nullptr});
  }

  void take(wire::Frame& frame) {
    auto document = json::Document::parse(frame.text, {.max_depth = 64});
    if (!document) return close(std::move(document.error()).context("shim protocol"));
    if (document->root().find("event")) return take_event(document->root(), std::move(frame.fds), *document);
    const json::Node* id = document->root().find("id");
    auto it = id ? waiting.find(id->as_int().value_or(0)) : waiting.end();
    if (it == waiting.end()) return;
    auto one = std::move(it->second);
    waiting.erase(it);
    if (const json::Node* error = document->root().find("error")) one->answer = std::unexpected(wire::get_error(*error));
    else if (!document->root().find("result")) one->answer = fail(Code::malformed, "shim protocol: an answer without result and error");
    else one->answer = Answer{std::move(*document), std::move(frame.fds)};
    one->done.set();
  }

  void take_event(const json::Node& node, std::vector<os::Fd> fds, json::Document& document) {
    std::string_view name = node.string_at("event");
    if (name == "hello") {
      hello->answer = Answer{std::move(document), std::move(fds)};
      return hello->done.set();
    }
    if (name == "failed") {
      const json::Node* error = node.find("error");
      Error why = error ? wire::get_error(*error) : Error{Code::internal, 0, "the shim did not start", nullptr};
      return close(std::move(why));
    }
    ShimEvent event;
    if (name == "exit") event.kind = ShimEvent::Kind::container_exit;
    else if (name == "execExit") event.kind = ShimEvent::Kind::exec_exit;
    else if (name == "oom") event.kind = ShimEvent::Kind::oom;
    else return;  // of a newer shim
    event.container = node.string_at("container");
    auto number = [&](std::string_view key) { return node.find(key) ? node.find(key)->as_int().value_or(0) : 0; };
    event.session = uint64_t(number("session"));
    event.exit_code = int(number("exitCode"));
    event.signal = int(number("signal"));
    event.oom_killed = node.find("oomKilled") && node.find("oomKilled")->as_bool();
    event.at = wire::from_ns(number("at"));
    deliver(std::move(event));
  }

  void deliver(ShimEvent event) {
    events.push_back(std::move(event));
    pump();
  }

  // In order, and never into a handler that is still at work.
  void pump() {
    if (!handler || dispatching) return;
    dispatching = true;
    auto still_alive = alive;
    while (handler && !events.empty()) {
      ShimEvent next = std::move(events.front());
      events.pop_front();
      handler(next);
      if (!*still_alive) return;
    }
    dispatching = false;
  }

  void flush() {
    auto empty = writer.flush(socket.get());
    if (!empty) return close(std::move(empty.error()));
    loop->unwatch(socket.get());
    (void)loop->watch(socket.get(), *empty ? EPOLLIN : EPOLLIN | EPOLLOUT, [this](uint32_t events_now) { serve(events_now); });
  }

  void send(std::string text, std::vector<os::Fd> fds = {}) {
    writer.add(std::move(text), std::move(fds));
    auto empty = writer.flush(socket.get());
    if (!empty) return close(Error{Code::unavailable, empty.error().sys, "the shim cannot be reached: " + empty.error().message, nullptr});
    if (!*empty) flush();
  }

  /// Sends a request and gives what will hold its answer.
  std::shared_ptr<Waiting> request(std::string_view op, std::string_view arguments, std::vector<os::Fd> fds = {}) {
    auto one = std::make_shared<Waiting>();
    if (closed) {
      one->answer = fail(Code::unavailable, "the connection to the shim is closed");
      one->done.set();
      return one;
    }
    int64_t id = next_id++;
    waiting.emplace(id, one);
    std::string text = "{\"id\":" + std::to_string(id) + ",\"op\":\"";
    text.append(op).append("\",\"args\":").append(arguments).append("}");
    send(std::move(text), std::move(fds));
    return one;
  }
};

namespace {

// A request's arguments.
class Arguments {
 public:
  Arguments() : root_(&document_.make_object()) {}
  Arguments& set(std::string_view key, std::string_view text) {
    document_.set(*root_, key, document_.make_string(text));
    return *this;
  }
  Arguments& number(std::string_view key, int64_t value) {
    document_.set(*root_, key, document_.make_int(value));
    return *this;
  }
  Arguments& flag(std::string_view key, bool value) {
    if (value) document_.set(*root_, key, document_.make_bool(true));
    return *this;
  }
  Arguments& list(std::string_view key, const std::vector<std::string>& values) {
    json::Node& array = document_.make_array();
    for (const std::string& value : values) document_.append(array, document_.make_string(value));
    document_.set(*root_, key, array);
    return *this;
  }
  Arguments& map(std::string_view key, const std::vector<std::pair<std::string, std::string>>& values) {
    json::Node& object = document_.make_object();
    for (const auto& [name, value] : values) document_.set(object, name, value);
    document_.set(*root_, key, object);
    return *this;
  }
  Arguments& raw(std::string_view key, const Arguments& inner) {
    document_.set(*root_, key, document_.copy(*inner.root_));
    return *this;
  }
  std::string text() const { return json::print(*root_); }

 private:
  json::Document document_;
  json::Node* root_;
};

Task<Result<Answer>> await_answer(std::shared_ptr<Waiting> one) {
  co_await one->done.wait();
  co_return std::move(*one->answer);
}

Task<Result<void>> await_done(std::shared_ptr<Waiting> one) {
  CO_TRY(co_await await_answer(std::move(one)));
  co_return Result<void>();
}

Task<Result<ContainerInfo>> await_container(std::shared_ptr<Waiting> one) {
  Answer answer = CO_TRY(co_await await_answer(std::move(one)));
  co_return wire::get_container(answer.result());
}

Task<Result<std::vector<int>>> await_pids(std::shared_ptr<Waiting> one) {
  Answer answer = CO_TRY(co_await await_answer(std::move(one)));
  std::vector<int> out;
  CO_TRY(read(answer.result(), "pids", "", out));
  co_return std::move(out);
}

Task<Result<ContainerStats>> await_stats(std::shared_ptr<Waiting> one) {
  Answer answer = CO_TRY(co_await await_answer(std::move(one)));
  co_return wire::get_stats(answer.result());
}

Task<Result<Session>> await_session(std::shared_ptr<Waiting> one) {
  Answer answer = CO_TRY(co_await await_answer(std::move(one)));
  Session session;
  CO_TRY(read(answer.result(), "session", "", session.id));
  CO_TRY(read(answer.result(), "pid", "", session.pid));
  std::vector<std::string> names;
  CO_TRY(read(answer.result(), "fds", "", names));
  for (size_t i = 0; i < names.size() && i < answer.fds.size(); i++) {
    if (names[i] == "stdin") session.stdin_fd = std::move(answer.fds[i]);
    if (names[i] == "stdout") session.stdout_fd = std::move(answer.fds[i]);
    if (names[i] == "stderr") session.stderr_fd = std::move(answer.fds[i]);
  }
  co_return std::move(session);
}

Task<Result<PodInfo>> await_pod(std::shared_ptr<Waiting> one) {
  Answer answer = CO_TRY(co_await await_answer(std::move(one)));
  const json::Node& node = answer.result();
  PodInfo pod;
  CO_TRY(read(node, "id", "", pod.id));
  CO_TRY(read(node, "shimPid", "", pod.shim_pid));
  CO_TRY(read(node, "pidNamespaceInit", "", pod.pid_namespace_init));
  CO_TRY(read(node, "protocol", "", pod.protocol));
  CO_TRY(read(node, "networkNamespace", "", pod.network_namespace));
  CO_TRY(read(node, "cgroup", "", pod.cgroup));
  if (const json::Node* list = node.find("containers")) {
    for (const json::Node& container : *list) pod.containers.push_back(CO_TRY(wire::get_container(container)));
  }
  co_return std::move(pod);
}

Task<Result<int>> await_code(std::shared_ptr<Waiting> one) {
  Answer answer = CO_TRY(co_await await_answer(std::move(one)));
  int code = 0;
  CO_TRY(read(answer.result(), "exitCode", "", code));
  co_return code;
}

std::string container_arguments(const ContainerOptions& options, StartStreams& streams, std::vector<os::Fd>& fds) {
  Arguments log;
  log.set("path", options.log.path).number("maxBytes", int64_t(options.log.max_bytes)).number("maxFiles", options.log.max_files);
  Arguments arguments;
  arguments.set("container", options.id).set("bundle", options.bundle).raw("log", log);
  arguments.flag("stdin", options.stdin_open).flag("stdinOnce", options.stdin_once);
  std::vector<std::string> names;
  auto give = [&](std::string_view name, os::Fd& fd) {
    if (!fd) return;
    names.emplace_back(name);
    fds.push_back(std::move(fd));
  };
  give("input", streams.input);
  give("inputWriter", streams.input_writer);
  for (auto& attached : streams.attached) {
    give("out", attached.out);
    give("err", attached.err);
  }
  if (!names.empty()) arguments.list("fds", names);
  return arguments.text();
}

std::string init_request(const PodOptions& options) {
  Arguments arguments;
  arguments.set("id", options.id).set("dir", options.dir).set("networkNamespace", options.network_namespace);
  arguments.set("userNamespace", options.user_namespace);
  arguments.set("hostname", options.hostname).set("domainname", options.domainname).flag("hostIpc", options.host_ipc);
  arguments.flag("sharePid", options.share_pid).set("cgroup", options.cgroup).set("resources", options.resources);
  arguments.map("sysctls", options.sysctls);
  return "{\"op\":\"init\",\"args\":" + arguments.text() + "}";
}

}  // namespace

ShimClient::ShimClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ShimClient::~ShimClient() = default;

namespace {

Result<os::Fd> spawn_shim(const std::string& program) {
  auto [ours, theirs] = TRY(os::make_socketpair(SOCK_STREAM));
  os::SpawnOptions spawn_options;
  // The shim writes its pod's id over the last argument, which `ps` then shows.
  spawn_options.argv = {program, "shim", std::string(64, '-')};
  spawn_options.fds = {{theirs.get(), 3}};
  spawn_options.new_session = true;
  pid_t pid = TRY(os::spawn(spawn_options));
  theirs.reset();
  // It forks and ends at once.
  os::ExitStatus status = TRY(os::wait_child(pid));
  if (status.code) return fail(Code::internal, program + " ended with code " + std::to_string(status.code));
  return std::move(ours);
}

// One waiting shim of each program makes the others: a fork of it costs a fraction of a program's start.
class Templates {
 public:
  Result<os::Fd> fork(const std::string& program) {
    std::lock_guard lock(mutex_);
    os::Fd& socket = sockets_[program];
    if (!socket || !os::peer_is_there(socket.get())) socket = TRY(spawn_shim(program));
    auto [ours, theirs] = TRY(os::make_socketpair(SOCK_STREAM));
    wire::Writer writer;
    std::vector<os::Fd> fds;
    fds.push_back(std::move(theirs));
    writer.add(R"({"op":"fork"})", std::move(fds));
    TRY(writer.flush(socket.get()));
    return std::move(ours);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, os::Fd> sockets_;  // guarded by mutex_; by program
};

}  // namespace

Result<os::Fd> ShimClient::start_waiting(const std::string& program) {
  static Templates templates;
  return templates.fork(program);
}

Task<Result<std::unique_ptr<ShimClient>>> ShimClient::launch(PodOptions options) {
  const std::string what = "start shim of pod " + options.id;
  os::Fd socket = CO_TRY_AS(what, start_waiting(options.shim));
  std::unique_ptr<ShimClient> client(new ShimClient(std::make_unique<Impl>()));
  CO_TRY(client->impl_->open(std::move(socket)));
  client->impl_->send(init_request(options));
  CO_TRY_AS(what, co_await await_answer(client->impl_->hello));
  co_return std::move(client);
}

Task<Result<ShimClient::Running>> ShimClient::launch(PodOptions options, ContainerOptions container, StartStreams streams, os::Fd waiting) {
  const std::string what = "start shim of pod " + options.id;
  std::vector<os::Fd> fds;
  std::string arguments = container_arguments(container, streams, fds);
  // Whether a waiting shim lives shows when it is spoken to; the streams must not be given to a dead one.
  if (waiting && !os::peer_is_there(waiting.get())) waiting.reset();
  if (!waiting) waiting = CO_TRY_AS(what, start_waiting(options.shim));
  Running out{std::unique_ptr<ShimClient>(new ShimClient(std::make_unique<Impl>())), 0, ContainerInfo{}};
  CO_TRY(out.client->impl_->open(std::move(waiting)));
  out.client->impl_->send(init_request(options));
  auto asked = out.client->impl_->request("run", arguments, std::move(fds));
  Answer hello = CO_TRY_AS(what, co_await await_answer(out.client->impl_->hello));
  if (const json::Node* pod = hello.document.root().find("pod")) CO_TRY(read(*pod, "shimPid", "", out.shim_pid));
  out.container = co_await await_container(std::move(asked));
  co_return std::move(out);
}

Task<Result<std::unique_ptr<ShimClient>>> ShimClient::connect(std::string dir) {
  os::Fd socket = CO_TRY(os::connect_unix(dir + "/shim.sock", SOCK_STREAM));
  std::unique_ptr<ShimClient> client(new ShimClient(std::make_unique<Impl>()));
  CO_TRY(client->impl_->open(std::move(socket)));
  CO_TRY_AS("connect to the shim at " + dir, co_await await_answer(client->impl_->hello));
  co_return std::move(client);
}

void ShimClient::on_event(EventHandler handler) {
  impl_->handler = std::move(handler);
  // What waited goes out from the loop, not from within this call.
  impl_->loop->post([impl = impl_.get(), alive = impl_->alive] {
    if (*alive) impl->pump();
  });
}

bool ShimClient::closed() const { return impl_->closed; }

Task<Result<PodInfo>> ShimClient::state() { return await_pod(impl_->request("state", "{}")); }

Task<Result<ContainerInfo>> ShimClient::create_container(ContainerOptions options) {
  StartStreams none;
  std::vector<os::Fd> fds;
  return await_container(impl_->request("create", container_arguments(options, none, fds)));
}

Task<Result<ContainerInfo>> ShimClient::run_container(ContainerOptions options, StartStreams streams) {
  std::vector<os::Fd> fds;
  std::string arguments = container_arguments(options, streams, fds);
  return await_container(impl_->request("run", arguments, std::move(fds)));
}

Task<Result<ContainerInfo>> ShimClient::start(std::string container) {
  return await_container(impl_->request("start", Arguments().set("container", container).text()));
}

Task<Result<void>> ShimClient::kill(std::string container, int signal, bool all) {
  return await_done(impl_->request("kill", Arguments().set("container", container).number("signal", signal).flag("all", all).text()));
}

Task<Result<void>> ShimClient::stop(std::string container, int signal, Duration grace) {
  return await_done(
      impl_->request("stop", Arguments().set("container", container).number("signal", signal).number("graceNs", grace.count()).text()));
}

Task<Result<void>> ShimClient::remove(std::string container, bool force) {
  return await_done(impl_->request("remove", Arguments().set("container", container).flag("force", force).text()));
}

Task<Result<void>> ShimClient::pause(std::string container) {
  return await_done(impl_->request("pause", Arguments().set("container", container).text()));
}

Task<Result<void>> ShimClient::resume(std::string container) {
  return await_done(impl_->request("resume", Arguments().set("container", container).text()));
}

Task<Result<void>> ShimClient::update(std::string container, std::string resources) {
  return await_done(impl_->request("update", Arguments().set("container", container).set("resources", resources).text()));
}

Task<Result<ContainerStats>> ShimClient::stats(std::string container) {
  return await_stats(impl_->request("stats", Arguments().set("container", container).text()));
}

Task<Result<std::vector<int>>> ShimClient::pids(std::string container) {
  return await_pids(impl_->request("pids", Arguments().set("container", container).text()));
}

Task<Result<ContainerStats>> ShimClient::pod_stats() { return await_stats(impl_->request("stats", "{}")); }

Task<Result<Session>> ShimClient::exec(ExecOptions options) {
  Arguments arguments;
  arguments.set("container", options.container).list("args", options.args).list("env", options.env).set("cwd", options.cwd);
  arguments.set("user", options.user).flag("tty", options.tty).flag("stdin", options.stdin_open);
  arguments.flag("allCapabilities", options.all_capabilities);
  arguments.number("columns", options.columns).number("rows", options.rows);
  return await_session(impl_->request("exec", arguments.text()));
}

Task<Result<int>> ShimClient::wait_exec(uint64_t session) {
  return await_code(impl_->request("waitExec", Arguments().number("session", int64_t(session)).text()));
}

Task<Result<void>> ShimClient::kill_exec(uint64_t session, int signal) {
  return await_done(impl_->request("killExec", Arguments().number("session", int64_t(session)).number("signal", signal).text()));
}

Task<Result<Session>> ShimClient::attach(std::string container, bool with_stdin, bool hold) {
  return await_session(
      impl_->request("attach", Arguments().set("container", container).flag("stdin", with_stdin).flag("hold", hold).text()));
}

Task<Result<void>> ShimClient::resize(uint64_t session, uint16_t columns, uint16_t rows) {
  return await_done(
      impl_->request("resize", Arguments().number("session", int64_t(session)).number("columns", columns).number("rows", rows).text()));
}

Task<Result<void>> ShimClient::resize_container(std::string container, uint16_t columns, uint16_t rows) {
  return await_done(
      impl_->request("resize", Arguments().set("container", container).number("columns", columns).number("rows", rows).text()));
}

Task<Result<void>> ShimClient::close_stdin(std::string container) {
  return await_done(impl_->request("closeStdin", Arguments().set("container", container).text()));
}

Task<Result<void>> ShimClient::reopen_log(std::string container) {
  return await_done(impl_->request("reopenLog", Arguments().set("container", container).text()));
}

Result<std::pair<os::Fd, os::Fd>> session_pipe() {
  auto ends = TRY(os::make_pipe());
  TRY(os::set_nonblocking(ends.first.get()));
  return ends;
}

Result<std::pair<os::Fd, os::Fd>> input_pipe() {
  auto ends = TRY(os::make_pipe());
  TRY(os::set_nonblocking(ends.second.get()));
  return ends;
}

Result<os::Fd> duplicate(const os::Fd& fd) { return os::duplicate(fd.get()); }

Task<Result<void>> ShimClient::shutdown() { return await_done(impl_->request("shutdown", "{}")); }

}  // namespace estiba::runtime
