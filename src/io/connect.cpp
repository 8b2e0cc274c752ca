// Making connections: name lookup, connect(2), listeners.
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/pool.h"
#include "io/socket.h"

namespace estiba::io {

using namespace std::chrono_literals;

namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Result<std::vector<Address>> look_up(const std::string& host, uint16_t port, int flags) {
  addrinfo hints{};
  hints.ai_flags = flags;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  int error = getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (error == EAI_SYSTEM) return fail_errno("look up host " + host);
  if (error) return fail(Code::unavailable, "look up host " + host + ": " + gai_strerror(error));
  std::vector<Address> found;
  for (addrinfo* a = list; a; a = a->ai_next) {
    Address& address = found.emplace_back();
    memcpy(&address.storage, a->ai_addr, a->ai_addrlen);
    address.length = a->ai_addrlen;
  }
  freeaddrinfo(list);
  return found;
}

Result<Address> unix_address(const std::string& path) {
  Address address;
  auto* un = reinterpret_cast<sockaddr_un*>(&address.storage);
  if (path.size() >= sizeof un->sun_path)
    return fail(Code::invalid, "unix socket " + path + ": the path is longer than the " + std::to_string(sizeof un->sun_path - 1) +
                                   " bytes that Linux allows");
  un->sun_family = AF_UNIX;
  memcpy(un->sun_path, path.c_str(), path.size() + 1);
  address.length = socklen_t(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

// Closes the fd unless it is taken.
struct FdGuard {
  int fd;
  ~FdGuard() {
    if (fd >= 0) ::close(fd);
  }
  int take() { return std::exchange(fd, -1); }
};

Task<Result<int>> connect_address(Address address, std::string name) {
  FdGuard guard{socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (guard.fd < 0) co_return fail_errno("connect to " + name);
  if (::connect(guard.fd, address.get(), address.length) < 0) {
    if (errno != EINPROGRESS) co_return fail_errno("connect to " + name);
    co_await Loop::current()->writable(guard.fd);
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(guard.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) co_return fail_errno("connect to " + name, error);
  }
  co_return guard.take();
}

}  // namespace

Task<Result<int>> connect_socket(std::string host, uint16_t port) {
  auto addresses = look_up(host, port, AI_NUMERICHOST | AI_NUMERICSERV);
  if (!addresses) addresses = co_await Pool::shared().run([host, port] { return look_up(host, port, AI_NUMERICSERV); });
  if (!addresses) co_return std::unexpected(addresses.error());
  Result<int> last = fail(Code::unavailable, "host " + host + " has no address");
  for (const Address& address : *addresses) {
    last = co_await connect_address(address, format_address(address.get()));
    if (last) break;
  }
  co_return last;
}

Task<Result<StreamPtr>> connect_tcp(std::string host, uint16_t port) {
  int fd = CO_TRY(co_await connect_socket(std::move(host), port));
  co_return stream_from_fd(fd);
}

Task<Result<StreamPtr>> connect_unix(std::string path) {
  Address address = CO_TRY(unix_address(path));
  int fd = CO_TRY(co_await connect_address(address, path));
  co_return stream_from_fd(fd);
}

// --- Listener ------------------------------------------------------------------------------------------------------------

Result<Listener> Listener::tcp(const std::string& host, uint16_t port) {
  std::string name = (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
  auto addresses = look_up(host.empty() ? "::" : host, port, AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV);
  if (!addresses) return fail(Code::invalid, "listen on " + name + ": the host must be an IP address");
  Address address = addresses->front();
  FdGuard guard{socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (guard.fd < 0 && errno == EAFNOSUPPORT && host.empty()) return tcp("0.0.0.0", port);
  if (guard.fd < 0) return fail_errno("listen on " + name);
  int on = 1, off = 0;
  setsockopt(guard.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (host.empty()) setsockopt(guard.fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  if (bind(guard.fd, address.get(), address.length) < 0 || ::listen(guard.fd, 1024) < 0) {
    if (errno == EADDRINUSE)
      return fail(Code::already_exists,
                  "listen on " + name + ": the address is in use; stop the program that holds it or choose another address or port");
    return fail_errno("listen on " + name);
  }
  return Listener(guard.take(), {});
}

Result<Listener> Listener::unix(const std::string& path, unsigned mode) {
  Address address = TRY(unix_address(path));
  FdGuard guard{socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (guard.fd < 0) return fail_errno("listen on " + path);
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) {
    FdGuard probe{socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (probe.fd >= 0 && (::connect(probe.fd, address.get(), address.length) == 0 || errno == EAGAIN))
      return fail(Code::already_exists, "listen on " + path + ": another program listens there; stop it or choose another path");
    unlink(path.c_str());
  }
  // Nobody can connect between bind and listen, so the mode is right before anyone gets in.
  if (bind(guard.fd, address.get(), address.length) < 0 || chmod(path.c_str(), mode) < 0 || ::listen(guard.fd, 1024) < 0) {
    return fail_errno("listen on " + path);
  }
  return Listener(guard.take(), path);
}

Listener& Listener::operator=(Listener&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
    path_ = std::move(other.path_);
  }
  return *this;
}

Listener::~Listener() { close(); }

void Listener::close() {
  if (fd_ < 0) return;
  if (!path_.empty()) unlink(path_.c_str());
  ::close(std::exchange(fd_, -1));
}

Task<Result<int>> Listener::accept() {
  for (;;) {
    int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) co_return fd;
    switch (errno) {
      case EAGAIN:
        co_await Loop::current()->readable(fd_);
        break;
      case EMFILE:
      case ENFILE:
      case ENOMEM:
      case ENOBUFS:
        co_await sleep_for(100ms);
        break;  // until others close something
      case EINTR:
      case ECONNABORTED:
      case EPROTO:
        break;
      default:
        co_return fail_errno("accept on " + address());
    }
  }
}

std::string Listener::address() const {
  if (!path_.empty()) return path_;
  Address address;
  address.length = sizeof address.storage;
  if (getsockname(fd_, reinterpret_cast<sockaddr*>(&address.storage), &address.length) < 0) return "a closed listener";
  return format_address(address.get());
}

uint16_t Listener::port() const {
  Address address;
  address.length = sizeof address.storage;
  if (getsockname(fd_, reinterpret_cast<sockaddr*>(&address.storage), &address.length) < 0) return 0;
  if (address.storage.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in*>(&address.storage)->sin_port);
  if (address.storage.ss_family == AF_INET6) return ntohs(reinterpret_cast<sockaddr_in6*>(&address.storage)->sin6_port);
  return 0;
}

}  // namespace estiba::io
