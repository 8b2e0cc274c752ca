#include "os/fd.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "base/strings.h"
#include "os/file.h"
#include "os/syscall.h"

namespace estiba::os {

Result<Fd> duplicate(int fd) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return fail_errno("fcntl F_DUPFD_CLOEXEC");
  return Fd(copy);
}

Result<std::pair<Fd, Fd>> make_pipe(int flags) {
  int ends[2];
  if (pipe2(ends, flags | O_CLOEXEC) < 0) return fail_errno("pipe2");
  return std::pair(Fd(ends[0]), Fd(ends[1]));
}

Result<std::pair<Fd, Fd>> make_socketpair(int type) {
  int ends[2];
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0) return fail_errno("socketpair");
  return std::pair(Fd(ends[0]), Fd(ends[1]));
}

Result<Fd> make_eventfd() {
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return fail_errno("eventfd");
  return Fd(fd);
}

Result<Fd> make_memfd(const char* name) {
  int fd = memfd_create(name, MFD_CLOEXEC);
  if (fd < 0) return fail_call("memfd_create", name);
  return Fd(fd);
}

Result<void> set_nonblocking(int fd, bool on) {
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0) return fail_errno("fcntl F_GETFL");
  int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  if (wanted != flags && fcntl(fd, F_SETFL, wanted) < 0) return fail_errno("fcntl F_SETFL");
  return {};
}

Result<void> set_cloexec(int fd, bool on) {
  if (fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0) return fail_errno("fcntl F_SETFD");
  return {};
}

Result<void> cloexec_from(int first) {
  if (syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return {};
  // EINVAL: Linux 5.9 and 5.10 have the call without that flag. EPERM: a seccomp profile that is older than the call.
  if (errno != ENOSYS && errno != EINVAL && errno != EPERM) return fail_errno("close_range");
  for (const DirEntry& entry : TRY(list_dir("/proc/self/fd"))) {
    const auto fd = parse_number<int>(entry.name);
    // The directory's own has been closed meanwhile.
    if (fd && *fd >= first && fcntl(*fd, F_SETFD, FD_CLOEXEC) < 0 && errno != EBADF) return fail_errno("fcntl F_SETFD");
  }
  return {};
}

std::string fd_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

Result<void> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = retry_interrupted([&] { return ::write(fd, bytes.data(), bytes.size()); });
    if (n < 0) return fail_errno("write");
    bytes.remove_prefix(size_t(n));
  }
  return {};
}

Result<std::string> read_all(int fd) {
  std::string out;
  char buffer[4096];
  while (true) {
    ssize_t n = retry_interrupted([&] { return ::read(fd, buffer, sizeof buffer); });
    if (n < 0) return fail_errno("read");
    if (n == 0) return out;
    out.append(buffer, size_t(n));
  }
}

namespace {
constexpr size_t max_fds = 32;  // per message; the kernel's own limit (SCM_MAX_FD) is 253
}

Result<size_t> send_with_fds(int socket, std::string_view bytes, std::span<const int> fds, int flags) {
  if (fds.size() > max_fds) return fail(Code::invalid, "too many descriptors for one message");
  alignas(cmsghdr) char control[CMSG_SPACE(max_fds * sizeof(int))] = {};
  iovec iov{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  ssize_t n = retry_interrupted([&] { return sendmsg(socket, &message, flags | MSG_NOSIGNAL); });
  if (n < 0) return fail_errno("sendmsg");
  return size_t(n);
}

bool peer_is_there(int socket) {
  char byte;
  ssize_t n = recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

Result<void> grow_pipe(int fd, size_t bytes) {
  int now = fcntl(fd, F_GETPIPE_SZ);
  if (now < 0) return fail_errno("fcntl F_GETPIPE_SZ");
  if (size_t(now) < bytes && fcntl(fd, F_SETPIPE_SZ, int(bytes)) < 0) return fail_errno("fcntl F_SETPIPE_SZ");
  return {};
}

Result<size_t> receive_with_fds(int socket, char* buffer, size_t size, std::vector<Fd>& fds, int flags) {
  alignas(cmsghdr) char control[CMSG_SPACE(max_fds * sizeof(int))];
  iovec iov{buffer, size};
  msghdr message{};
  message.msg_iov = &iov;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n = retry_interrupted([&] { return recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC); });
  if (n < 0) return fail_errno("recvmsg");
  for (cmsghdr* h = CMSG_FIRSTHDR(&message); h; h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  if (message.msg_flags & MSG_CTRUNC) return fail(Code::internal, "recvmsg: descriptors were cut off");
  return size_t(n);
}

namespace {
// Calls `use` with an address for `path`. A path too long for sun_path is reached through a descriptor of its directory.
template <class F>
Result<void> with_address(const std::string& path, F use) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  Fd directory;
  std::string shorter = path;
  if (path.size() >= sizeof address.sun_path) {
    size_t slash = path.rfind('/');
    directory.reset(::open(slash == 0 ? "/" : path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return fail_call("open", path.substr(0, slash));
    shorter = fd_path(directory.get()) + path.substr(slash);
    if (shorter.size() >= sizeof address.sun_path) return fail(Code::invalid, "socket name too long: " + path);
  }
  memcpy(address.sun_path, shorter.c_str(), shorter.size() + 1);
  return use(reinterpret_cast<sockaddr*>(&address), socklen_t(offsetof(sockaddr_un, sun_path) + shorter.size() + 1));
}
}  // namespace

Result<Fd> listen_unix(const std::string& path, int type, int backlog) {
  Fd fd(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("socket AF_UNIX");
  if (unlink(path.c_str()) < 0 && errno != ENOENT) return fail_call("unlink", path);
  // The mode of the socket file is that of the socket's inode at bind time.
  if (fchmod(fd.get(), 0600) < 0) return fail_call("fchmod", path);
  TRY(with_address(path, [&](sockaddr* address, socklen_t length) -> Result<void> {
    if (bind(fd.get(), address, length) < 0) return fail_call("bind", path);
    return {};
  }));
  if (listen(fd.get(), backlog) < 0) return fail_call("listen", path);
  return fd;
}

Result<Fd> connect_unix(const std::string& path, int type) {
  Fd fd(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("socket AF_UNIX");
  TRY(with_address(path, [&](sockaddr* address, socklen_t length) -> Result<void> {
    if (retry_interrupted([&] { return connect(fd.get(), address, length); }) < 0) return fail_call("connect", path);
    return {};
  }));
  return fd;
}

Result<Fd> accept_unix(int listener) {
  int fd = retry_interrupted([&] { return accept4(listener, nullptr, nullptr, SOCK_CLOEXEC); });
  if (fd < 0) return fail_errno("accept4");
  return Fd(fd);
}

}  // namespace estiba::os
