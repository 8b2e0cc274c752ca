#include "server/verb.h"

#include <malloc.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/fd.h"
#include "base/log.h"
#include "server/server.h"

namespace estiba::server {

namespace {

// Tells systemd (sd_notify(3)): one datagram to $NOTIFY_SOCKET.
void notify(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (!path || !*path) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  const socklen_t size = socklen_t(offsetof(sockaddr_un, sun_path) + std::strlen(address.sun_path));
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd) (void)::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address), size);
}

// SIGTERM and SIGINT as a readable descriptor; blocked before any thread starts, so that all threads inherit it.
Result<Fd> block_signals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  if (pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) return fail_errno("pthread_sigmask");
  Fd fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("signalfd");
  return fd;
}

Task<Result<void>> serve(io::Loop* loop, Options options, int signals) {
  Server server(std::move(options));
  auto started = co_await server.start();
  if (started) {
    log::info("server", "ready");
    notify("READY=1");
    co_await loop->readable(signals);
    log::info("server", "stopping; containers go on");
    notify("STOPPING=1");
  }
  co_await server.stop();
  co_return started;
}

}  // namespace

Result<int> run(const cli::Arguments& arguments) {
  Options options = TRY(read_options(arguments));
  if (options.help) {
    std::fputs(options.help_text.c_str(), stdout);
    return 0;
  }
  log::configure(options.verbosity > 0 ? log::Level::debug : log::Level::info, options.log_format == "json" ? log::Format::json : log::Format::text);
  // Many threads that allocate little: two arenas hold it all, and freed memory goes back.
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 256 * 1024);
  umask(022);
  Fd signals = TRY(block_signals());
  io::Loop loop;
  TRY(loop.block_on(serve(&loop, std::move(options), signals.get())));
  return 0;
}

}  // namespace estiba::server
