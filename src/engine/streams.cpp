// EngineImpl: exec, attach and connections into a pod.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/engine_impl.h"
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

constexpr size_t output_limit = 16 << 20;

/// Reads to the end, keeping at most output_limit bytes.
Task<void> collect(Fd fd, std::string* out) {
  io::Loop& loop = *io::Loop::current();
  char buffer[16384];
  while (fd) {
    ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n > 0) {
      out->append(buffer, std::min(size_t(n), output_limit - out->size()));
    } else if (n < 0 && errno == EAGAIN) {
      co_await loop.readable(fd.get());
    } else if (n == 0 || errno != EINTR) {
      co_return;
    }
  }
}

Task<Result<ExecOutput>> run_to_end(ShimRef shim, runtime::Session session) {
  ExecOutput out;
  TaskGroup readers;
  readers.start(collect(std::move(session.stdout_fd), &out.output));
  readers.start(collect(std::move(session.stderr_fd), &out.error));
  out.exit_code = CO_TRY(co_await shim->wait_exec(session.id));
  // What it started in the background may keep the streams open; the command itself has ended.
  co_await with_timeout(std::chrono::milliseconds(500), [](TaskGroup* group) -> Task<bool> {
    co_await group->join();
    co_return true;
  }(&readers));
  readers.cancel();
  co_return out;
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
  for (const auto& [name, value] : spec.env) options.env.push_back(name + "=" + value);
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
  Live found = CO_TRY(live(id, true));
  auto session = CO_TRY_AS("attach to container " + found.container->status().name, co_await found.shim->attach(id, with_stdin));
  co_return std::make_unique<ShimSession>(found.shim, std::move(session), found.container);
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
