// A program run to its end, as a CNI plugin or a helper is: bytes in, bytes out, bounded in time and size.
#pragma once
#include <string>
#include <string_view>

#include "os/process.h"

namespace estiba::os {

struct ProgramResult {
  ExitStatus status;
  std::string out, err;  ///< what it wrote to stdout and stderr
};

/// A file in memory with these bytes, for a program to read as its stdin: one that does not read it can neither block us nor give us a
/// SIGPIPE.
Result<Fd> make_input(std::string_view bytes);

/// Starts the program with `input` as its stdin and waits for its end. After `timeout_ms` milliseconds it is killed (Code::timeout); one
/// that writes more than `most` bytes to stdout or stderr too (Code::too_large). What its children write after its end is not waited for.
/// Blocks; any thread. `options.fds` must not name 0, 1 or 2.
Result<ProgramResult> run_program(SpawnOptions options, std::string_view input, int timeout_ms, size_t most = 1024 * 1024);

}  // namespace estiba::os
