#include "cli/docker/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

#include "base/strings.h"

namespace estiba::cli::docker {

bool is_terminal(int fd) { return isatty(fd) == 1; }

std::optional<WindowSize> window_size() {
  winsize size{};
  for (int fd : {1, 0})
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && (size.ws_row || size.ws_col)) return WindowSize{size.ws_row, size.ws_col};
  return std::nullopt;
}

RawMode::RawMode(bool wanted) {
  if (!wanted || !is_terminal(0) || tcgetattr(0, &saved_) != 0) return;
  termios raw = saved_;
  cfmakeraw(&raw);
  set_ = tcsetattr(0, TCSANOW, &raw) == 0;
}

void RawMode::restore() {
  if (std::exchange(set_, false)) tcsetattr(0, TCSANOW, &saved_);
}

Result<std::string> parse_detach_keys(std::string_view text) {
  std::string out;
  if (text.empty()) return out;
  for (std::string_view key : split(text, ',')) {
    auto unknown = [&] {
      return fail(Code::invalid, "invalid detach keys (" + std::string(text) + "): Unknown character: '" + std::string(key) + "'");
    };
    if (key.size() == 1) {
      out += key[0];
    } else if (key.starts_with("ctrl-") && key.size() == 6) {
      const char c = key[5];
      if (c >= 'a' && c <= 'z') out += char(c - 'a' + 1);
      else if (const size_t at = std::string_view("@\0[\\]^_", 7).find(c); at != std::string_view::npos)
        out += c == '@' ? '\0' : char(c - '@');
      else return unknown();
    } else {
      return unknown();
    }
  }
  return out;
}

bool DetachFilter::feed(std::string_view typed, std::string& out) {
  if (keys_.empty()) {
    out += typed;
    return false;
  }
  for (char c : typed) {
    if (c == keys_[matched_]) {
      if (++matched_ == keys_.size()) return true;
      continue;
    }
    out.append(keys_, 0, matched_);
    matched_ = c == keys_[0] ? 1 : 0;
    if (matched_ == 0) out += c;
  }
  return false;
}

static sigset_t forwarded_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGCONT, SIGWINCH, SIGTSTP, SIGIO, SIGPWR})
    sigaddset(&set, signal);
  return set;
}

void hold_signals() {
  const sigset_t set = forwarded_signals();
  sigprocmask(SIG_BLOCK, &set, nullptr);
}

std::string signal_name(int signal) {
  const char* name = sigabbrev_np(signal);
  return name ? name : std::to_string(signal);
}

bool print_bytes(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      pollfd wait{fd, POLLOUT, 0};
      poll(&wait, 1, -1);
      continue;
    }
    if (n < 0) return false;
    bytes.remove_prefix(size_t(n));
  }
  return true;
}

namespace {

class Pump {
 public:
  Pump(Hijacked connection, StreamOptions& options)
      : connection_(std::move(connection)),
        options_(options),
        filter_(options.tty ? options.detach_keys : std::string()),
        demultiplexer_(connection_.multiplexed && !options.tty, [this](int stream, std::string_view bytes) {
          if (stream == 2 ? !options_.errors : !options_.output) return true;
          return print_bytes(stream, bytes);
        }) {}

  Result<StreamEnd> run() {
    watch_signals();
    RawMode raw(options_.tty && options_.input);
    resize();
    if (!TRY(demultiplexer_.feed(connection_.early))) return StreamEnd::ended;
    while (!ended_ && !detached_) {
      pollfd waits[3] = {{connection_.fd.get(), short(POLLIN | (pending_.empty() ? 0 : POLLOUT)), 0},
                         {signals_ ? signals_.get() : -1, POLLIN, 0},
                         {options_.input && pending_.empty() ? 0 : -1, POLLIN, 0}};
      if (poll(waits, 3, -1) < 0) {
        if (errno == EINTR) continue;
        return fail_errno("poll");
      }
      if (waits[1].revents) take_signal(raw);
      if (waits[2].revents) take_input();
      if (!pending_.empty()) send_input();
      if (waits[0].revents & (POLLIN | POLLHUP | POLLERR)) TRY(take_output());
    }
    return detached_ ? StreamEnd::detached : StreamEnd::ended;
  }

 private:
  void watch_signals() {
    if (!options_.forward && !options_.tty) return;
    sigset_t set = forwarded_signals();
    if (!options_.forward) {  // a terminal: its size, and what must not leave it in raw mode
      sigemptyset(&set);
      for (int signal : {SIGWINCH, SIGTERM, SIGHUP, SIGINT}) sigaddset(&set, signal);
    }
    sigprocmask(SIG_BLOCK, &set, nullptr);
    signals_ = Fd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  }

  void resize() {
    if (!options_.tty || !options_.resize) return;
    if (auto size = window_size()) options_.resize(*size);
  }

  void take_signal(RawMode& raw) {
    signalfd_siginfo info{};
    if (read(signals_.get(), &info, sizeof info) != sizeof info) return;
    const int signal = int(info.ssi_signo);
    if (signal == SIGWINCH) return resize();
    if (options_.forward) return options_.forward(signal);
    raw.restore();
    std::signal(signal, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    raise(signal);
    sigprocmask(SIG_UNBLOCK, &set, nullptr);
  }

  void take_input() {
    char typed[32 * 1024];
    const ssize_t n = read(0, typed, sizeof typed);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) {
      options_.input = false;
      shutdown(connection_.fd.get(), SHUT_WR);
      return;
    }
    detached_ = filter_.feed({typed, size_t(n)}, pending_);
  }

  void send_input() {
    const ssize_t n = send(connection_.fd.get(), pending_.data(), pending_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      pending_.erase(0, size_t(n));
    } else if (errno != EAGAIN && errno != EINTR) {
      pending_.clear();  // nobody reads; the output may still have an end to come
      options_.input = false;
    }
  }

  Result<void> take_output() {
    char bytes[64 * 1024];
    const ssize_t n = recv(connection_.fd.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return {};
    if (n <= 0) {
      ended_ = true;
      return {};
    }
    ended_ = !TRY(demultiplexer_.feed({bytes, size_t(n)}));
    return {};
  }

  Hijacked connection_;
  StreamOptions& options_;
  DetachFilter filter_;
  Demultiplexer demultiplexer_;
  Fd signals_;
  std::string pending_;  // typed and not yet sent
  bool ended_ = false, detached_ = false;
};

}  // namespace

Result<StreamEnd> stream(Hijacked connection, StreamOptions options) { return Pump(std::move(connection), options).run(); }

}  // namespace estiba::cli::docker
