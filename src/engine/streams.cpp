// EngineImpl: exec, attach and connections into a pod.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/engine_impl.h"
#include "engine/identity.h"
#include "image/overlay.h"
#include "io/foreign_pipe.h"
#include "io/loop.h"
#include "network/dial.h"

namespace estiba::engine {
namespace {

class ShimSession final : public Session {
 public:
  ShimSession(ShimRef shim, runtime::Session session, ContainerRef attached)
      : shim_(std::move(shim)), session_(std::move(session)), attached_(std::move(attached)) {}

  Fd take_input() override { return std::move(session_.stdin_fd); }
  Fd take_output() override { return std::move(session_.stdout_fd); }
  Fd take_error() override { return std::move(session_.stderr_fd); }

  Task<Result<void>> resize(uint16_t columns, uint16_t rows) override { return shim_->resize(session_.id, columns, rows); }
  int pid() const override { return session_.pid; }
  Task<Result<int>> wait() override { return attached_ ? wait_container(attached_) : shim_->wait_exec(session_.id); }

 private:
  static Task<Result<int>> wait_container(ContainerRef container) {
    co_await container->exited.wait();
    co_return container->status().exit_code;
  }

  ShimRef shim_;
  runtime::Session session_;
  ContainerRef attached_;  // null for exec
};

/// Of somebody who was there before the container ran.
class EarlySession final : public Session {
 public:
  EarlySession(std::string id, std::shared_ptr<EarlyAttach> early, Fd input, Fd output, Fd error)
      : id_(std::move(id)), early_(std::move(early)), input_(std::move(input)), output_(std::move(output)), error_(std::move(error)) {}

  Fd take_input() override { return std::move(input_); }
  Fd take_output() override { return std::move(output_); }
  Fd take_error() override { return std::move(error_); }

  Task<Result<void>> resize(uint16_t columns, uint16_t rows) override { return resize_container(early_, id_, columns, rows); }
  int pid() const override { return early_->container ? early_->container->status().pid : 0; }
  Task<Result<int>> wait() override { return wait_for_end(early_); }

 private:
  static Task<Result<int>> wait_for_end(std::shared_ptr<EarlyAttach> early) {
    co_await early->bound.wait();
    if (!early->container) co_return fail(Code::cancelled, "the container was not started");
    ContainerRef container = early->container;
    co_await container->exited.wait();
    co_return container->status().exit_code;
  }

  static Task<Result<void>> resize_container(std::shared_ptr<EarlyAttach> early, std::string id, uint16_t columns, uint16_t rows) {
    ShimRef shim = early->container ? early->container->shim.lock() : nullptr;
    if (!shim) co_return fail(Code::conflict, "container " + id + " is not running");
    co_return co_await shim->resize_container(id, columns, rows);
  }

  const std::string id_;
  std::shared_ptr<EarlyAttach> early_;
  Fd input_, output_, error_;
};

constexpr size_t output_limit = 16 << 20;

/// Of a command that may still run when it is let go of.
struct Output {
  Fd fd;
  bool ended = false;

  ~Output() {
    if (!fd || ended) return;
    io::Loop::current()->unwatch(fd.get());
    io::close_foreign_pipe(fd.release());
  }
};

/// Reads to the end, keeping at most output_limit bytes.
Task<void> collect(int fd, std::string* out) {
  io::Loop& loop = *io::Loop::current();
  char buffer[16384];
  while (fd >= 0) {
    if (!io::has_input(fd)) {
      co_await loop.readable(fd);
      continue;
    }
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n > 0) {
      out->append(buffer, std::min(size_t(n), output_limit - out->size()));
    } else if (n < 0 && errno == EAGAIN) {
      co_await loop.readable(fd);
    } else if (n == 0 || errno != EINTR) {
      co_return;
    }
  }
}

Task<Result<ExecOutput>> run_to_end(ShimRef shim, runtime::Session session) {
  ExecOutput out;
  Output output{std::move(session.stdout_fd)}, error{std::move(session.stderr_fd)};
  TaskGroup readers;
  readers.start(collect(output.fd.get(), &out.output));
  readers.start(collect(error.fd.get(), &out.error));
  out.exit_code = CO_TRY(co_await shim->wait_exec(session.id));
  output.ended = error.ended = true;
  // What it started in the background may keep the streams open; the command itself has ended.
  co_await with_timeout(std::chrono::milliseconds(500), [](TaskGroup* group) -> Task<bool> {
    co_await group->join();
    co_return true;
  }(&readers));
  readers.cancel();
  co_return out;
}

Result<Identity> identity_in(const std::string& root, const std::string& user) {
  constexpr uint64_t limit = 4 << 20;
  std::string passwd = TRY(image::read_in_root(root, "/etc/passwd", limit));
  std::string group = TRY(image::read_in_root(root, "/etc/group", limit));
  // Who names a group wants that one and no others, as Docker has it.
  return resolve_user({.user = user, .groups_from_image = user.find(':') == std::string::npos}, "", passwd, group);
}

Task<Result<void>> connect_socket(int fd, const sockaddr* address, socklen_t size) {
  if (::connect(fd, address, size) == 0) co_return {};
  if (errno != EINPROGRESS) co_return fail_errno("connect");
  co_await io::Loop::current()->writable(fd);
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error) co_return fail_errno("connect", error);
  co_return {};
}

}  // namespace

Task<Result<std::unique_ptr<Session>>> EngineImpl::exec(std::string id, ExecSpec spec) {
  Live found = CO_TRY(live(id, true));
  runtime::ExecOptions options;
  options.container = id;
  options.args = std::move(spec.command);
  if (!spec.user.empty()) {
    Identity identity =
        CO_TRY(co_await pool_.run([root = paths_.container(id) + "/rootfs", user = spec.user] { return identity_in(root, user); }));
    options.user = std::to_string(identity.uid) + ":" + std::to_string(identity.gid);
    for (uint32_t group : identity.groups) options.user += "," + std::to_string(group);
    options.env.push_back("HOME=" + identity.home);
  }
  if (spec.tty) options.env.emplace_back("TERM=xterm");
  for (const auto& [name, value] : spec.env) options.env.push_back(name + "=" + value);
  options.cwd = spec.working_dir;
  options.all_capabilities = spec.privileged;
  options.tty = spec.tty;
  options.stdin_open = spec.with_stdin;
  options.columns = spec.columns;
  options.rows = spec.rows;
  auto session = CO_TRY_AS("exec in container " + found.container->status().name, co_await found.shim->exec(std::move(options)));
  if (!spec.with_stdin) session.stdin_fd.reset();
  if (!spec.with_stdout) session.stdout_fd.reset();
  if (!spec.with_stderr) session.stderr_fd.reset();
  co_return std::make_unique<ShimSession>(found.shim, std::move(session), nullptr);
}

Task<Result<ExecOutput>> EngineImpl::exec_sync(std::string id, std::vector<std::string> command, Duration limit) {
  Live found = CO_TRY(live(id, true));
  runtime::ExecOptions options;
  options.container = id;
  options.args = std::move(command);
  auto session = CO_TRY_AS("exec in container " + found.container->status().name, co_await found.shim->exec(std::move(options)));
  const uint64_t session_id = session.id;
  if (limit == Duration::zero()) co_return co_await run_to_end(found.shim, std::move(session));
  auto result = co_await with_timeout(limit, run_to_end(found.shim, std::move(session)));
  if (result) co_return std::move(*result);
  (void)co_await found.shim->kill_exec(session_id, 9);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
  co_return fail(Code::timeout,
                 "the command in container " + found.container->status().name + " did not end within " + std::to_string(ms) + " ms");
}

Task<Result<std::unique_ptr<Session>>> EngineImpl::attach(std::string id, bool with_stdin) {
  ContainerRef container = find_container(id).second;
  const bool runs = container && container->status().state == ContainerState::running;
  // One that is on its way into the shim has taken its streams along.
  const bool on_its_way = container && container->starting && container->streams_taken;
  const bool ended = container && container->status().state == ContainerState::exited;  // and about to be taken away
  if (!runs && !on_its_way && (container && !ended ? container->status().state == ContainerState::created : roots_->kept(id)))
    co_return attach_early(std::move(id), with_stdin);
  if (on_its_way) co_await container->settled.wait();
  Live found = CO_TRY(live(id, true));
  auto session = CO_TRY_AS("attach to container " + found.container->status().name, co_await found.shim->attach(id, with_stdin, true));
  co_return std::make_unique<ShimSession>(found.shim, std::move(session), found.container);
}

Result<std::unique_ptr<Session>> EngineImpl::attach_early(std::string id, bool with_stdin) {
  auto early = std::make_shared<EarlyAttach>();
  early->with_stdin = with_stdin;
  auto [out_read, out_write] = TRY(runtime::session_pipe());
  auto [err_read, err_write] = TRY(runtime::session_pipe());
  early->out = std::move(out_write);
  early->err = std::move(err_write);
  EarlyAttachments& all = early_[id];
  Fd input;
  if (with_stdin) {
    if (!all.input) {
      auto [read_end, write_end] = TRY(runtime::input_pipe());
      all.input = std::move(read_end);
      all.input_writer = std::move(write_end);
    }
    input = TRY(runtime::duplicate(all.input_writer));
  }
  std::erase_if(all.attached, [](const auto& weak) { return weak.expired(); });
  all.attached.push_back(early);
  return std::make_unique<EarlySession>(std::move(id), std::move(early), std::move(input), std::move(out_read), std::move(err_read));
}

runtime::StartStreams EngineImpl::take_early(const ContainerRef& container) {
  runtime::StartStreams out;
  container->streams_taken = true;
  auto node = early_.extract(container->status().id);
  if (node.empty()) return out;
  bool input = false;
  for (const auto& weak : node.mapped().attached) {
    auto early = weak.lock();
    if (!early) continue;
    input = input || early->with_stdin;
    out.attached.push_back({std::move(early->out), std::move(early->err)});
    early->container = container;
    early->bound.set();
  }
  if (!input || !container->record.stdin_open) return out;
  out.input = std::move(node.mapped().input);
  // With stdinOnce those who are attached have the only write ends: their going is the end of the input.
  if (!container->record.stdin_once || container->record.tty) out.input_writer = std::move(node.mapped().input_writer);
  return out;
}

void EngineImpl::drop_early(const std::string& id) {
  auto node = early_.extract(id);
  if (node.empty()) return;
  for (const auto& weak : node.mapped().attached) {
    auto early = weak.lock();
    if (!early) continue;
    early->out.reset();
    early->err.reset();
    early->bound.set();
  }
}

Task<Result<Fd>> EngineImpl::dial(std::string pod_uid, uint16_t port) {
  PodRef pod = find_pod(pod_uid);
  if (!pod) co_return fail(Code::not_found, "there is no sandbox " + pod_uid);
  const std::string netns = pod->record.netns_path;
  const std::string what = "port " + std::to_string(port) + " of pod " + pod->record.ns + "/" + pod->record.name;
  Result<void> connected;
  for (int family : {AF_INET, AF_INET6}) {
    auto fd = co_await pool_.run([netns, family] { return network::open_socket(netns, family); });
    if (!fd) co_return within(what, std::move(fd));
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    v6.sin6_addr = in6addr_loopback;
    const bool four = family == AF_INET;
    auto tried = co_await connect_socket(fd->get(), four ? reinterpret_cast<sockaddr*>(&v4) : reinterpret_cast<sockaddr*>(&v6),
                                         four ? sizeof v4 : sizeof v6);
    if (tried) co_return std::move(*fd);
    if (four) connected = std::move(tried);  // the answer for IPv4 is the one that helps
  }
  co_return within(what, Result<Fd>(std::unexpected(std::move(connected.error()))));
}

}  // namespace estiba::engine
