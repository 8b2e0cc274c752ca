// GET /containers/{id}/top: a table of a container's processes as `ps -ef` and `ps aux` print them, read from /proc, without any ps.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"

namespace estiba::docker {

struct ProcessTable {
  std::vector<std::string> titles;
  std::vector<std::vector<std::string>> rows;
};

/// `arguments` are ps's: "", "-ef" and "aux" are printed by us; others by the host's ps, where it has one. Processes that end meanwhile are
/// left out. Blocking.
Result<ProcessTable> list_processes(const std::vector<int>& pids, std::string_view arguments, WallTime now);

/// The rows of a ps's output whose PID column holds one of `pids`. Invalid when there is no such column.
Result<ProcessTable> choose_rows(std::string_view output, const std::vector<int>& pids);
/// ps's arguments that would have another meaning than a list with PIDs: invalid.
Result<void> check_ps_arguments(std::string_view arguments);

}  // namespace estiba::docker
