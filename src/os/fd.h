// Fd: an owned file descriptor, and the calls on descriptors that are no file's own business. Every descriptor made here
// is close-on-exec.
#pragma once
#include <sys/types.h>

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace estiba::os {

using estiba::Fd;

Result<Fd> duplicate(int fd);
/// The read end and the write end; `flags` as pipe2(2), close-on-exec is added.
Result<std::pair<Fd, Fd>> make_pipe(int flags = 0);
/// A connected pair of AF_UNIX sockets of `type` (SOCK_STREAM, SOCK_SEQPACKET, …), close-on-exec.
Result<std::pair<Fd, Fd>> make_socketpair(int type);
Result<Fd> make_eventfd();
Result<Fd> make_memfd(const char* name);

Result<void> set_nonblocking(int fd, bool on = true);
Result<void> set_cloexec(int fd, bool on = true);
/// Marks all descriptors from `first` on as close-on-exec (close_range(2)).
Result<void> cloexec_from(int first);
/// "/proc/self/fd/N": a path that means exactly the opened object.
std::string fd_path(int fd);

/// Writes all bytes, through partial writes and EINTR.
Result<void> write_all(int fd, std::string_view bytes);
/// Reads to the end.
Result<std::string> read_all(int fd);

/// Sends bytes with descriptors (SCM_RIGHTS) on a stream or seqpacket socket; returns the number of bytes sent.
Result<size_t> send_with_fds(int socket, std::string_view bytes, std::span<const int> fds, int flags = 0);
/// Whether the other end of a connected stream socket is still open (or has left something to read).
bool peer_is_there(int socket);
/// Makes the buffer of a pipe hold at least `bytes`; more than /proc/sys/fs/pipe-max-size needs CAP_SYS_RESOURCE.
Result<void> grow_pipe(int fd, size_t bytes);
/// Receives up to `size` bytes; descriptors that come along are appended to `fds`. 0 is the end of the stream; an error
/// with sys EAGAIN says that there is nothing now.
Result<size_t> receive_with_fds(int socket, char* buffer, size_t size, std::vector<Fd>& fds, int flags = 0);

/// Listening AF_UNIX socket at `path` (replaced if there), mode 0600. Paths longer than sun_path go through /proc/self/fd.
Result<Fd> listen_unix(const std::string& path, int type, int backlog = 16);
Result<Fd> connect_unix(const std::string& path, int type);
Result<Fd> accept_unix(int listener);

}  // namespace estiba::os
