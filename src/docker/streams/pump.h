// Joins a client to a process's streams: its input to the process, the process's output to it.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/task.h"
#include "docker/streams/multiplex.h"
#include "engine/engine.h"
#include "io/stream.h"

namespace estiba::docker {

struct PumpOptions {
  bool in = false, out = true, err = true;
  bool tty = false;
  std::string detach_keys;  ///< bytes, from parse_detach_keys; only looked for with a terminal
  /// Silence of this length, once the process has ended, ends a session whose output somebody still holds open (a process
  /// that it left behind).
  Duration silence = std::chrono::seconds(1);
};

enum class PumpEnd : uint8_t {
  over,      ///< the process has ended, and all its output was sent
  detached,  ///< the client typed the detach keys
  gone,      ///< the client went away
};

/// Made, run and destroyed on one Loop. Destroying it closes our ends of the streams and the client.
class Pump {
 public:
  Pump(std::unique_ptr<engine::Session> session, std::shared_ptr<Client> client, PumpOptions options);
  ~Pump();
  Pump(const Pump&) = delete;

  /// Runs until one of PumpEnd; then the client is closed. The end of the client's input is passed on to the process (that
  /// of a terminal is not) and ends nothing.
  Task<PumpEnd> run();
  /// Ends run() as if all were over.
  void stop() { end(PumpEnd::over); }
  /// After run(): reads and forgets what still comes, so that the process is not held up, until it has ended; its exit code.
  Task<Result<int>> finish();
  /// The exit code, once it is known.
  std::optional<int> exit_code() const { return exit_ && *exit_ ? std::optional<int>(**exit_) : std::nullopt; }
  engine::Session& session() { return *session_; }

 private:
  struct Output {
    io::StreamPtr stream;
    Channel channel;
    bool reading = false, ended = false;
  };
  static Task<void> copy_output(Pump* self, Output* output);
  static Task<void> copy_input(Pump* self);
  static Task<void> wait_exit(Pump* self);
  void end(PumpEnd how);
  bool outputs_ended() const;
  Task<void> rest_of_output();

  std::unique_ptr<engine::Session> session_;
  std::shared_ptr<Client> client_;
  const PumpOptions options_;
  io::StreamPtr input_;
  Output outputs_[2];
  std::optional<Result<int>> exit_;
  std::optional<PumpEnd> end_;
  uint64_t moved_ = 0;  // pieces of output, to tell silence
  Event ended_, exited_, progress_;
  TaskGroup tasks_;  // last: they use all of the above
};

}  // namespace estiba::docker
