// Exec instances: made by POST /containers/{id}/exec, run once by POST /exec/{id}/start, asked about until they are forgotten. An instance
// that has ended is kept while it is among the last 32 of its container, so that a client can ask for its exit code.
//
// Everything here belongs to the daemon's thread.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/task.h"
#include "docker/streams/pump.h"
#include "model/json.h"

namespace estiba::docker {

class Daemon;
struct Container;

struct ExecConfig {
  std::vector<std::string> command, env;
  std::string user, working_dir;
  std::string detach_keys;  ///< as given
  bool attach_in = false, attach_out = false, attach_err = false;
  bool tty = false, privileged = false;
  uint16_t columns = 0, rows = 0;
};

struct Exec {
  std::string id;  ///< 64 hex digits
  std::shared_ptr<Container> container;
  ExecConfig config;
  enum class State : unsigned char { created, starting, running, ended } state = State::created;
  int pid = 0;
  std::optional<int> exit_code;
  std::shared_ptr<Pump> pump;  ///< while it runs
  Event changed;               ///< set at each change of state

  /// The exit code as soon as it is known: before the client's stream ends.
  std::optional<int> code() const { return exit_code ? exit_code : pump ? pump->exit_code() : std::nullopt; }
  bool running() const { return (state == State::starting || state == State::running) && !code(); }
};
using ExecRef = std::shared_ptr<Exec>;

class Execs {
 public:
  explicit Execs(Daemon& daemon) : daemon_(daemon) {}

  /// Conflict when the container does not run or is paused; invalid without a command.
  Result<ExecRef> create(std::shared_ptr<Container> container, ExecConfig config);
  /// "No such exec instance: x" (not_found).
  Result<ExecRef> find(std::string_view id) const;
  /// Whether it may be started now: conflict when it was before, or when the container does not run or is paused.
  Result<void> check_start(const Exec& exec) const;
  /// Starts it and goes on by itself. On failure the exec has ended, with exit code 126, or 127 when there is no such program; the error is
  /// what a user should read. `client` null: detached, its output is thrown away.
  Task<Result<void>> start(ExecRef exec, std::shared_ptr<Client> client);
  /// Of a running one at once, of one that is being started as soon as it runs, of one to be started its first size.
  Task<Result<void>> resize(ExecRef exec, uint16_t columns, uint16_t rows);
  /// An exec that somebody else runs, a health check's: told and listed as any, from now until end(), which must follow.
  ExecRef begin(std::shared_ptr<Container> container, std::vector<std::string> command);
  void end(Exec& exec, int code);
  /// A container has gone.
  void forget(const Container& container);

 private:
  ExecRef add(std::shared_ptr<Container> container, ExecConfig config);
  static Task<void> run(Execs* self, ExecRef exec);
  void ended(Exec& exec, int code);
  void tell(const Exec& exec, std::string action, std::vector<std::pair<std::string, std::string>> more = {});

  Daemon& daemon_;
  std::map<std::string, ExecRef, std::less<>> by_id_;
  std::map<std::string, std::vector<std::string>, std::less<>> done_;  // ended ones by container, oldest first
};

/// Reads the body of POST /containers/{id}/exec.
Result<ExecConfig> parse_exec_config(const json::Node& body);
/// What GET /exec/{id}/json answers.
std::string print_exec(const Exec& exec);

}  // namespace estiba::docker
