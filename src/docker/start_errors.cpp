#include "docker/start_errors.h"

#include "base/strings.h"

namespace estiba::docker {

namespace {

constexpr std::string_view creating = "failed to create task for container: failed to create shim task: OCI runtime create failed: ";
constexpr std::string_view starting = "unable to start container process: error during container init: ";

std::string lowered_first(std::string_view text) {
  std::string out(text);
  if (!out.empty() && out[0] >= 'A' && out[0] <= 'Z' && !(out.size() > 1 && out[1] >= 'A' && out[1] <= 'Z')) out[0] = char(out[0] + 32);
  return out;
}

}  // namespace

StartError start_error(const Error& from) {
  StartError out{from, 128};
  // The runtime says "exec PROGRAM: WHY" when it comes to the command.
  std::string_view message = from.message;
  const size_t at = message.starts_with("exec ")               ? 0
                    : message.rfind(": exec ") == message.npos ? message.npos
                                                               : message.rfind(": exec ") + 2;
  if (at != message.npos) {
    const std::string_view rest = message.substr(at + 5);
    const size_t colon = rest.rfind(": ");
    if (colon != rest.npos) {
      const std::string program(rest.substr(0, colon)), why = lowered_first(rest.substr(colon + 2));
      const bool missing = why.find("executable file not found") != why.npos || why.find("no such file or directory") != why.npos;
      const bool refused =
          why.find("permission denied") != why.npos || why.find("is a directory") != why.npos || why.find("exec format error") != why.npos;
      out.exit_code = missing ? 127 : refused ? 126 : 128;
      const std::string stat = missing && why.find("no such file") != why.npos ? "stat " + program + ": " : "";
      out.error.message = std::string(creating) + std::string(starting) + "exec: " + quoted(program) + ": " + stat + why + ": unknown";
      out.error.code = missing || refused ? Code::invalid : Code::internal;
      return out;
    }
  }
  // Docker's own errors (networks, mounts) are for the client as they are; those of the kernel are failures of the server.
  if (from.details && !from.details->reason.empty()) {
    out.error.message = std::string(creating) + std::string(starting) + from.message + ": unknown";
    out.error.code = from.code == Code::invalid ? Code::invalid : Code::internal;
  }
  return out;
}

}  // namespace estiba::docker
