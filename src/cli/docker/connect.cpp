#include "cli/docker/connect.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/strings.h"
#include "cli/docker/client.h"
#include "cli/version.h"
#include "io/thread.h"
#include "io/tls.h"
#include "os/fd.h"
#include "os/process.h"

namespace estiba::cli::docker {

namespace {

// TLS is spoken by a loop on a thread of its own, behind one end of a socket pair, so that everything else sees a descriptor.
class TlsCarrier final : public Carrier {
 public:
  ~TlsCarrier() override {
    io::Loop loop;
    loop.block_on(io::run_on<int>(thread_.loop(), [this] { return stop(this); }));
  }

  Result<void> connect(io::TlsContextRef context, std::string host, uint16_t port, Fd near) {
    io::Loop loop;
    auto connected = loop.block_on(
        io::run_on<Result<void>>(thread_.loop(), [&] { return start(this, std::move(context), std::move(host), port, near.release()); }));
    if (!connected) return fail(Code::cancelled, "interrupted");
    return std::move(*connected);
  }

 private:
  static Task<void> carry(io::TlsContextRef context, std::string host, uint16_t port, int fd, OneShot<Result<void>>::Sender connected) {
    io::StreamPtr near = io::stream_from_fd(fd);
    auto far = co_await io::connect_tls(std::move(context), std::move(host), port);
    if (!far) {
      connected.send(std::unexpected(std::move(far.error())));
      co_return;
    }
    connected.send({});
    co_await io::copy_both_ways(*near, **far);
  }
  static Task<Result<void>> start(TlsCarrier* self, io::TlsContextRef context, std::string host, uint16_t port, int fd) {
    OneShot<Result<void>> connected;
    self->job_ = Job(carry(std::move(context), std::move(host), port, fd, connected.sender()));
    auto answer = co_await connected;
    if (!answer) co_return fail(Code::cancelled, "interrupted");
    co_return std::move(*answer);
  }
  static Task<int> stop(TlsCarrier* self) {
    self->job_ = Job();
    co_return 0;
  }

  io::LoopThread thread_{"docker-tls"};
  Job job_;
};

std::unexpected<Error> nobody(const Endpoint& endpoint, std::string_view why) {
  std::string message = "Cannot connect to the Docker daemon at " + endpoint.host + ". Is the docker daemon running?";
  if (!why.empty()) message += " (" + std::string(why) + ")";
  return fail(Code::unavailable, message);
}

Result<Fd> connect_unix(const Endpoint& endpoint, std::string path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return fail(Code::invalid, "the path of the socket " + endpoint.host + " is longer than a socket's may be");
  memcpy(address.sun_path, path.data(), path.size());
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("socket");
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  if (errno == EACCES || errno == EPERM) {
    return fail(Code::forbidden, "permission denied while trying to connect to the Docker daemon socket at " + endpoint.host +
                                     ": dial unix " + path + ": connect: permission denied");
  }
  return nobody(endpoint, endpoint.start_hint);
}

Result<std::pair<std::string, std::string>> host_and_port(const Endpoint& endpoint, std::string_view authority, std::string_view fallback) {
  authority = authority.substr(0, authority.find('/'));
  std::string_view host = authority, port = fallback;
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    if (end == authority.npos) return fail(Code::invalid, "unable to parse docker host " + quoted(endpoint.host));
    host = authority.substr(1, end - 1);
    if (authority.substr(end + 1).starts_with(':')) port = authority.substr(end + 2);
  } else if (const size_t colon = authority.rfind(':'); colon != authority.npos) {
    host = authority.substr(0, colon);
    port = authority.substr(colon + 1);
  }
  if (host.empty()) host = "127.0.0.1";
  if (!parse_number<uint16_t>(port))
    return fail(Code::invalid, "unable to parse docker host " + quoted(endpoint.host) + ": the port is no number");
  return std::pair(std::string(host), std::string(port));
}

Result<Fd> connect_tcp(const Endpoint& endpoint, const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) return nobody(endpoint, gai_strerror(error));
  Fd fd;
  int why = 0;
  for (addrinfo* each = found; each && !fd; each = each->ai_next) {
    fd.reset(socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd && connect(fd.get(), each->ai_addr, each->ai_addrlen) == 0) break;
    why = errno;
    fd.reset();
  }
  freeaddrinfo(found);
  if (!fd) return nobody(endpoint, strerror(why));
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

Result<Fd> connect_tls(const Endpoint& endpoint, const std::string& host, uint16_t port, std::unique_ptr<Carrier>& out) {
  auto context = TRY(io::make_tls_client({.ca_pem = endpoint.ca_pem,
                                          .certificate_pem = endpoint.certificate_pem,
                                          .key_pem = endpoint.key_pem,
                                          .insecure = !endpoint.tls_verify}));
  auto [here, there] = TRY(os::make_socketpair(SOCK_STREAM));
  auto carrier = std::make_unique<TlsCarrier>();
  auto connected = carrier->connect(std::move(context), host, port, std::move(there));
  if (!connected) return nobody(endpoint, connected.error().message);
  out = std::move(carrier);
  return std::move(here);
}

// `ssh HOST docker system dial-stdio`, as Docker does it.
Result<Fd> connect_ssh(const Endpoint& endpoint, std::string_view authority) {
  authority = authority.substr(0, authority.find('/'));
  std::vector<std::string> argv = {"ssh", "-o", "ConnectTimeout=30", "-T"};
  if (const size_t at = authority.find('@'); at != authority.npos) {
    argv.insert(argv.end(), {"-l", std::string(authority.substr(0, at))});
    authority.remove_prefix(at + 1);
  }
  if (auto [host, port] = split_once(authority, ':'); port) {
    argv.insert(argv.end(), {"-p", std::string(*port)});
    authority = host;
  }
  if (authority.empty() || authority.starts_with('-')) return fail(Code::invalid, "unable to parse docker host " + quoted(endpoint.host));
  argv.insert(argv.end(), {"--", std::string(authority), "docker", "system", "dial-stdio"});
  auto [near, far] = TRY(os::make_socketpair(SOCK_STREAM));
  TRY_AS("ssh " + std::string(authority), os::spawn({.argv = argv, .fds = {{far.get(), 0}, {far.get(), 1}, {2, 2}}}));
  return std::move(near);
}

}  // namespace

Result<Fd> connect_endpoint(const Endpoint& endpoint, std::unique_ptr<Carrier>& carrier) {
  const std::string_view host = endpoint.host;
  const size_t at = host.find("://");
  const std::string_view scheme = host.substr(0, at), rest = at == host.npos ? std::string_view() : host.substr(at + 3);
  if (scheme == "unix") return connect_unix(endpoint, std::string(rest));
  if (scheme == "ssh") return connect_ssh(endpoint, rest);
  if (scheme != "tcp" && scheme != "http" && scheme != "https") {
    return fail(Code::invalid, "unable to parse docker host " + quoted(host) + ": unix://PATH, tcp://HOST:PORT or ssh://HOST is expected");
  }
  const bool secure = endpoint.tls || scheme == "https";
  const auto [name, port] = TRY(host_and_port(endpoint, rest, secure ? "2376" : "2375"));
  if (!secure) return connect_tcp(endpoint, name, port);
  return connect_tls(endpoint, name, *parse_number<uint16_t>(port), carrier);
}

std::string user_agent() { return "estiba/" + std::string(program_version()) + " (linux)"; }

}  // namespace estiba::cli::docker
