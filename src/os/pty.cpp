#include "os/pty.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "os/file.h"
#include "os/syscall.h"

namespace estiba::os {

Result<Pty> open_pty(const std::string& ptmx) {
  Pty pty;
  pty.master = TRY(open_file(ptmx, O_RDWR | O_NOCTTY));
  // A container could have put anything at that path.
  struct stat info = TRY(fstat_file(pty.master.get()));
  if (!S_ISCHR(info.st_mode) || info.st_rdev != makedev(5, 2)) return fail(Code::invalid, ptmx + " is no pseudoterminal multiplexer");
  int unlock = 0;
  if (ioctl(pty.master.get(), TIOCSPTLCK, &unlock) < 0) return fail_call("ioctl TIOCSPTLCK", ptmx);
  unsigned number = 0;
  if (ioctl(pty.master.get(), TIOCGPTN, &number) < 0) return fail_call("ioctl TIOCGPTN", ptmx);
  // Opened through the master, so that nothing put at the slave's path by the container can be opened instead.
  int slave = ioctl(pty.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) return fail_call("ioctl TIOCGPTPEER", ptmx);
  pty.slave.reset(slave);
  pty.slave_path = "/dev/pts/" + std::to_string(number);
  return pty;
}

Result<void> set_window_size(int fd, uint16_t columns, uint16_t rows) {
  winsize size{rows, columns, 0, 0};
  if (ioctl(fd, TIOCSWINSZ, &size) < 0) return fail_errno("ioctl TIOCSWINSZ");
  return {};
}

Result<void> set_controlling_terminal(int fd) {
  if (ioctl(fd, TIOCSCTTY, 0) < 0) return fail_errno("ioctl TIOCSCTTY");
  return {};
}

}  // namespace estiba::os
