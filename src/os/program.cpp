#include "os/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace estiba::os {

namespace {

using Clock = std::chrono::steady_clock;

struct Output {
  Fd end;
  std::string bytes;

  /// Takes what is there now; false when it is more than `most` in all.
  bool drain(size_t most) {
    char buffer[16 * 1024];
    for (;;) {
      const ssize_t size = ::read(end.get(), buffer, sizeof buffer);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return true;
      if (size == 0) {
        end.reset();
        return true;
      }
      bytes.append(buffer, size_t(size));
      if (bytes.size() > most) return false;
    }
  }
};

Result<void> gather(pid_t pid, int pidfd, Output& out, Output& err, Clock::time_point until, size_t most, const std::string& name) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0) return fail(Code::timeout, name + " does not end");
    pollfd about[] = {{pidfd, POLLIN, 0}, {out.end ? out.end.get() : -1, POLLIN, 0}, {err.end ? err.end.get() : -1, POLLIN, 0}};
    // Without a pidfd it is looked after now and then.
    const int changed = ::poll(about, std::size(about), pidfd >= 0 ? int(left) + 1 : int(std::min<int64_t>(left + 1, 10)));
    if (changed < 0 && errno != EINTR) return fail_errno("poll");
    const bool ended = pidfd >= 0 ? changed > 0 && about[0].revents : !alive(pid);
    for (Output* output : {&out, &err})
      if (output->end && !output->drain(most)) return fail(Code::too_large, name + " writes more than " + std::to_string(most) + " bytes");
    // Looked at before the last reading: what it has written comes with it.
    if (ended) return {};
  }
}

}  // namespace

Result<Fd> make_input(std::string_view bytes) {
  Fd input = TRY(make_memfd("input"));
  TRY(write_all(input.get(), bytes));
  if (lseek(input.get(), 0, SEEK_SET) < 0) return fail_errno("lseek memfd");
  return input;
}

Result<ProgramResult> run_program(SpawnOptions options, std::string_view input, int timeout_ms, size_t most) {
  const auto until = Clock::now() + std::chrono::milliseconds(timeout_ms);
  const Fd in = TRY(make_input(input));
  Output out, err;
  const std::string name = options.argv.empty() ? std::string() : options.argv[0];
  pid_t pid = 0;
  {
    auto [out_read, out_write] = TRY(make_pipe());
    auto [err_read, err_write] = TRY(make_pipe());
    TRY(set_nonblocking(out_read.get()));
    TRY(set_nonblocking(err_read.get()));
    options.fds.insert(options.fds.end(), {{in.get(), 0}, {out_write.get(), 1}, {err_write.get(), 2}});
    pid = TRY(spawn(options));
    out.end = std::move(out_read);
    err.end = std::move(err_read);
  }
  auto pidfd = pidfd_open(pid);
  auto done = pidfd ? gather(pid, pidfd->get(), out, err, until, most, name) : Result<void>(std::unexpected(std::move(pidfd.error())));
  if (!done) (void)send_signal(pid, SIGKILL);
  const ExitStatus status = TRY(wait_child(pid));
  TRY(std::move(done));
  return ProgramResult{status, std::move(out.bytes), std::move(err.bytes)};
}

}  // namespace estiba::os
