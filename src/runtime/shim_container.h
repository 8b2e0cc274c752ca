// One container of a shim: its process, streams, log, sessions and record on disk.
#pragma once
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "os/cgroup.h"
#include "os/process.h"
#include "runtime/container_log.h"
#include "runtime/launch.h"
#include "runtime/shim_attach.h"
#include "runtime/shim_client.h"
#include "runtime/shim_loop.h"

namespace estiba::runtime {

/// What containers need of their pod.
struct ShimContext {
  ShimLoop& loop;
  std::string dir;  ///< records go to <dir>/containers/
  UniqueFunction<void(const ShimEvent&)> emit;
  uint64_t next_session = 1;
  /// Blocks until that child has ended and been dealt with, and deals with all others that end meanwhile: the first process of a
  /// pid namespace cannot end before this process has reaped those that it put there itself.
  UniqueFunction<void(pid_t)> await_end;
};

class ShimContainer {
 public:
  /// Everything up to the start of the program.
  static Result<std::unique_ptr<ShimContainer>> create(ShimContext& context, const ContainerOptions& options, StartStreams streams = {});
  ~ShimContainer();

  const ContainerInfo& info() const { return info_; }
  Result<void> start();
  Result<void> signal(int signal, bool all);
  /// `signal`, then SIGKILL for all after `grace`.
  Result<void> stop(int signal, Duration grace);
  Result<void> pause();
  Result<void> resume();
  Result<void> update(const std::string& resources_json);
  Result<ContainerStats> stats() const;
  Result<std::vector<pid_t>> pids() const;
  /// Kills if need be (blocking until it has ended), and removes cgroup and record.
  Result<void> remove(bool force);

  struct Exec {
    Session session;  ///< the client's ends
    os::Fd terminal;  ///< kept for resizing
  };
  Result<Exec> exec(const ExecOptions& options);
  /// With `hold` the container waits for the reader.
  Result<Session> attach(bool with_stdin, bool hold);
  Result<void> resize(uint16_t columns, uint16_t rows);
  void close_stdin() { stdin_.reset(); }
  Result<void> reopen_log() { return log_.reopen(); }
  /// Whether an attach session has this id.
  bool has_session(uint64_t id) const;

  /// The container's process has ended and was reaped.
  void reaped(const os::ExitStatus& status);

 private:
  struct Attached {
    uint64_t id;
    std::unique_ptr<AttachPipe> out, err;
  };

  ShimContainer(ShimContext& context, const ContainerOptions& options) : context_(context), options_(options) {}
  Result<void> prepare_cgroup();
  Result<void> launch_process(StartStreams& streams);
  Result<void> take_streams(StartStreams& streams);
  std::unique_ptr<AttachPipe> attach_pipe(os::Fd write_end, bool hold);
  void let_streams_flow();
  Result<void> watch_streams();
  void stream_ready(os::Fd& fd, ContainerLog::Stream stream);
  /// How many bytes came; 0: none now, or the end.
  size_t read_stream(os::Fd& fd, ContainerLog::Stream stream);
  void watch_memory();
  void check_memory();
  void end_streams();
  Result<void> save() const;
  Result<void> need_running() const;
  bool own_pid_namespace() const;

  ShimContext& context_;
  ContainerOptions options_;
  ContainerInfo info_;
  Spec spec_;
  std::optional<os::Cgroup> cgroup_;
  std::optional<os::OomWatch> oom_;
  uint64_t oom_kills_ = 0;
  Launched process_;
  ContainerLog log_;
  os::Fd stdin_, stdout_, stderr_;  // ours; with a terminal stdout_ is its master
  std::list<Attached> attached_;
  std::unique_ptr<InputPump> input_;
  bool held_ = false;  // the streams are not read: somebody who is attached is behind
  Instant read_at_{};  // when a stream was last read
  uint64_t grace_timer_ = 0;
};

/// Statistics of a group in the client's terms.
ContainerStats to_container_stats(const os::CgroupStats& stats);
/// The process of an exec: the container's with what the options change.
Result<SpecProcess> exec_process(const SpecProcess& container, const ExecOptions& options);

}  // namespace estiba::runtime
