#include "cli/oci/foreground.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "os/process.h"
#include "os/pty.h"

namespace estiba::cli::oci {

namespace {

sigset_t passed_on() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGALRM}) sigaddset(&set, signal);
  return set;
}

// The caller's terminal in raw mode, and as it was afterwards.
class RawTerminal {
 public:
  RawTerminal() {
    if (!isatty(0) || tcgetattr(0, &before_) < 0) return;
    termios raw = before_;
    cfmakeraw(&raw);
    active_ = tcsetattr(0, TCSANOW, &raw) == 0;
  }
  ~RawTerminal() {
    if (active_) tcsetattr(0, TCSANOW, &before_);
  }

 private:
  termios before_{};
  bool active_ = false;
};

void copy_window_size(int terminal) {
  winsize size{};
  if (ioctl(0, TIOCGWINSZ, &size) == 0) (void)os::set_window_size(terminal, size.ws_col, size.ws_row);
}

// Copies what is there; false at the end of the stream. A terminal whose other side has closed gives EIO.
bool copy(int from, int to) {
  char buffer[8192];
  ssize_t n = read(from, buffer, sizeof buffer);
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  return n > 0 && os::write_all(to, {buffer, size_t(n)});
}

}  // namespace

void hold_signals() {
  sigset_t set = passed_on();
  if (!os::has_pidfds()) sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

Result<int> wait_in_foreground(runtime::Launched& process) {
  sigset_t set = passed_on();
  if (!process.pidfd) sigaddset(&set, SIGCHLD);
  Fd signals(signalfd(-1, &set, SFD_CLOEXEC));
  if (!signals) return fail_errno("signalfd");
  std::optional<RawTerminal> raw;
  if (process.terminal) {
    raw.emplace();
    copy_window_size(process.terminal.get());
  }
  pollfd fds[4] = {{process.pidfd.get(), POLLIN, 0},
                   {signals.get(), POLLIN, 0},
                   {process.terminal ? 0 : -1, POLLIN, 0},
                   {process.terminal.get(), POLLIN, 0}};
  bool ended = !process.pidfd && !os::alive(process.pid);
  while (true) {
    if (poll(fds, 4, ended ? 0 : -1) < 0 && errno != EINTR) return fail_errno("poll");
    if (fds[3].revents && !copy(process.terminal.get(), 1)) fds[3].fd = -1;
    if (fds[2].revents && !copy(0, process.terminal.get())) fds[2].fd = -1;
    if (fds[1].revents) {
      signalfd_siginfo info;
      if (read(signals.get(), &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGWINCH && process.terminal) copy_window_size(process.terminal.get());
        else if (info.ssi_signo == SIGCHLD) ended = !os::alive(process.pid);
        else (void)os::send_signal(process.pidfd, process.pid, int(info.ssi_signo));
      }
    }
    // What the process wrote to its terminal before it ended is still to be shown.
    bool drained = fds[3].fd < 0 || !(fds[3].revents & POLLIN);
    if ((ended || fds[0].revents) && drained) return TRY(os::wait_child(process.pid)).code;
  }
}

}  // namespace estiba::cli::oci
