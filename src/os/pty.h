// Pseudoterminals: pty(7), ioctl_tty(2).
#pragma once
#include <cstdint>
#include <string>

#include "os/fd.h"

namespace estiba::os {

struct Pty {
  Fd master;
  Fd slave;
  std::string slave_path;  ///< as seen from the mount namespace of the devpts instance
};
/// Opens a new terminal of the devpts instance behind `ptmx` ("/dev/ptmx" or a container's "/dev/pts/ptmx").
Result<Pty> open_pty(const std::string& ptmx);
Result<void> set_window_size(int fd, uint16_t columns, uint16_t rows);
/// Makes `fd` the controlling terminal of this session leader.
Result<void> set_controlling_terminal(int fd);

}  // namespace estiba::os
