// The engine: containers and their lives. It turns specs into OCI bundles on top of images, has the pod's shim run them,
// and knows at any time what runs. Containers live in their shims, so they survive the engine; recover() finds them again.
//
// Threading: an Engine belongs to one thread, that of the executor it was made for. All calls are made there and resume
// there; blocking work (mounts, unpacking) runs on a pool.
//
// Identity: a sandbox is known by its pod's uid, a container by its id. Calls that bring something to an end (stop_*,
// remove_*) succeed when there is nothing to end, so that callers may repeat them.
//
// Errors say what they are about by reason_of(), with the words that Kubernetes users know:
//   InvalidImageName            the image reference cannot be parsed
//   ErrImageNeverPull           not present and the policy is never
//   ErrImagePull                the pull failed; code tells how (not_found, unauthorized, unavailable, timeout, …)
//   CreateContainerConfigError  runAsNonRoot with a root image, unknown user name, missing mount source
//   CreateContainerError        the container cannot be made (no command, image gone, mount refused)
//   RunContainerError           start failed; the status is then exited, code 128, reason StartError, with the message
//   CreatePodSandboxError       the sandbox cannot be made
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/function.h"
#include "base/result.h"
#include "base/task.h"
#include "engine/spec.h"

namespace estiba::io {
class Pool;
}

namespace estiba::engine {

/// The reason carried by an engine error, or "" when there is none.
std::string_view reason_of(const Error& error);

enum class PullPolicy : unsigned char { always, if_not_present, never };

struct Credentials {
  std::string username, password;
  std::string identity_token;  ///< an OAuth2 refresh token instead of a password
};

struct ImageInfo {
  std::string id;                    ///< "sha256:…" of the configuration
  std::vector<std::string> tags;     ///< "docker.io/library/nginx:1.29"
  std::vector<std::string> digests;  ///< "docker.io/library/nginx@sha256:…"
  uint64_t size = 0;                 ///< compressed layers and metadata, bytes
  std::string user;                  ///< the configuration's User
  std::vector<std::string> entrypoint, cmd, env;
  std::string working_dir;
};

struct ExecSpec {
  std::vector<std::string> command;
  std::vector<std::pair<std::string, std::string>> env;  ///< over the container's
  bool tty = false;
  bool with_stdin = false, with_stdout = true, with_stderr = true;
  uint16_t columns = 0, rows = 0;  ///< first size of the terminal; 0: the default
  std::string user;                ///< as User::user, looked up in the container's own files; empty: the container's
  std::string working_dir;         ///< empty: the container's
  bool privileged = false;         ///< with all capabilities
};

/// Runs on after its Session is dropped only until its streams close; the exit code is then lost.
class Session {
 public:
  virtual ~Session() = default;
  /// Our ends of the streams, non-blocking; each can be taken once. With a TTY, input and output are the terminal (two
  /// descriptors of it) and error is empty. Not asked for: empty.
  virtual Fd take_input() = 0;
  virtual Fd take_output() = 0;
  virtual Fd take_error() = 0;
  virtual Task<Result<void>> resize(uint16_t columns, uint16_t rows) = 0;
  /// Of the first process of the exec, in the engine's PID namespace; for an attachment the container's, 0 before its start.
  virtual int pid() const = 0;
  /// The exit code of the process (of the container, when attached), 128 + N when killed by signal N.
  virtual Task<Result<int>> wait() = 0;
};

struct ExecOutput {
  int exit_code = 0;
  std::string output, error;  ///< each cut at 16 MiB
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Sandboxes.
  /// Makes the pod's directory, cgroup and shim. Running it again for a sandbox that is ready does nothing.
  virtual Task<Result<void>> run_sandbox(SandboxSpec spec) = 0;
  /// Stops all containers (in parallel, `grace` each, then SIGKILL) and the sandbox.
  virtual Task<Result<void>> stop_sandbox(std::string uid, Duration grace) = 0;
  /// Stops at once what still runs, then removes containers, shim, mounts, cgroup and directory. The log directory stays.
  virtual Task<Result<void>> remove_sandbox(std::string uid) = 0;
  /// run_sandbox, create_container and start_container in one go, the fastest way to a running container. What fails leaves nothing:
  /// neither sandbox nor container (a kept root stays). sandbox.uid and container.id may be the same. A container that has ended at once
  /// is a success, with its state.
  virtual Task<Result<ContainerStatus>> run(SandboxSpec sandbox, ContainerSpec container) = 0;
  /// Null when unknown.
  virtual std::optional<SandboxStatus> sandbox(std::string_view uid) const = 0;
  virtual std::vector<SandboxStatus> sandboxes() const = 0;

  // Containers.
  /// Returns the container's id. The image must be present (ensure_image).
  virtual Task<Result<std::string>> create_container(std::string pod_uid, ContainerSpec spec) = 0;
  virtual Task<Result<void>> start_container(std::string id) = 0;
  /// The stop signal, then SIGKILL after `grace`; returns when the container has exited. Zero grace: SIGKILL at once.
  virtual Task<Result<void>> stop_container(std::string id, Duration grace) = 0;
  /// Refused (conflict) while it runs.
  virtual Task<Result<void>> remove_container(std::string id) = 0;
  virtual std::optional<ContainerStatus> container(std::string_view id) const = 0;
  /// Its status once it has exited, also for those who ask when it is being removed. not_found when it is unknown.
  virtual Task<Result<ContainerStatus>> wait(std::string id) = 0;
  /// `disk`: also what the writable layer takes, which means walking it.
  virtual Task<Result<ContainerStats>> stats(std::string id, bool disk = true) = 0;
  /// Sends a signal to the container's first process, or to `all` of its cgroup.
  virtual Task<Result<void>> kill(std::string id, int signal, bool all = false) = 0;
  /// Freezes all its processes / lets them go on. Conflict when it is so already.
  virtual Task<Result<void>> pause(std::string id) = 0;
  virtual Task<Result<void>> unpause(std::string id) = 0;
  /// Changes the limits that are set in `resources`, and leaves the others; by a sandbox's uid those of its group.
  virtual Task<Result<void>> update(std::string id, Resources resources) = 0;
  /// The size of its terminal; invalid without one.
  virtual Task<Result<void>> resize(std::string id, uint16_t columns, uint16_t rows) = 0;
  /// The processes in its cgroup, in the engine's PID namespace.
  virtual Task<Result<std::vector<int>>> top(std::string id) = 0;
  /// The container's log was renamed: write to a new file at its path.
  virtual Task<Result<void>> reopen_log(std::string id) = 0;

  // Into a running container.
  /// A command that does not exist is an error here (not_found), not an exit code.
  virtual Task<Result<std::unique_ptr<Session>>> exec(std::string id, ExecSpec spec) = 0;
  /// Runs to its end and collects the output; kills it and fails with Code::timeout after `limit` (zero: no limit).
  virtual Task<Result<ExecOutput>> exec_sync(std::string id, std::vector<std::string> command, Duration limit) = 0;
  /// The output from now on, and a way in when it has one and `with_stdin`. Also before the container is started, and before it is even
  /// created (then its root must be there: make_root): nothing of its output is missed, and what is written in waits for it.
  virtual Task<Result<std::unique_ptr<Session>>> attach(std::string id, bool with_stdin) = 0;
  /// A TCP connection to 127.0.0.1 (else ::1), `port`, made inside the sandbox's network namespace.
  virtual Task<Result<Fd>> dial(std::string pod_uid, uint16_t port) = 0;

  // Roots that outlive their containers (ContainerSpec::keep_root), in <data-dir>/containers/<id>.
  /// A writable layer on top of `image`, which is kept from removal by it. Nothing is mounted. already_exists when there is one. What is
  /// written to a `passing` one need not outlive the machine's stop, and so waits for no disk.
  virtual Task<Result<void>> make_root(std::string id, std::string image, bool passing = false) = 0;
  /// The path of the mounted root, which stays mounted until as many unmount_root() calls; of a running container the root it has.
  virtual Task<Result<std::string>> mount_root(std::string id) = 0;
  virtual Task<Result<void>> unmount_root(std::string id) = 0;
  /// With all that was written. Missing is fine; conflict while a container or a mount_root() uses it. `unshared`: the container had
  /// neither volumes nor namespaces in common with anybody, so that no process outside can hold a descriptor of it.
  virtual Task<Result<void>> remove_root(std::string id, bool unshared = false) = 0;
  /// The directory of the writable layer (overlayfs's upper), there or not.
  virtual std::string upper_dir(std::string_view id) const = 0;
  /// The directory of the /dev/shm that a sandbox's containers share.
  virtual std::string shm_dir(std::string_view uid) const = 0;

  // Life as a whole.
  /// Reads what an earlier engine left below the run directory, reconnects to live shims, finishes or undoes what was
  /// under way. Call it before anything else; sandboxes() then tells what there is. Several users of one engine may each call it: it is
  /// done once. Roots that were kept stay.
  virtual Task<Result<void>> recover() = 0;
  /// Called on the engine's thread for each event, after the status has changed. Set before recover(). Several users may each give one; all
  /// are called, in that order, and last as long as the engine.
  virtual void on_event(UniqueFunction<void(const Event&)> callback) = 0;

  // Images.
  /// Makes sure that `reference` is here, pulling it as the policy says.
  virtual Task<Result<ImageInfo>> ensure_image(std::string reference, PullPolicy policy, std::vector<Credentials> credentials) = 0;
  /// By reference or id; nullopt when it is not here.
  virtual Task<Result<std::optional<ImageInfo>>> image_status(std::string reference) = 0;
  virtual Task<Result<std::vector<ImageInfo>>> images() = 0;
  /// Removes a reference, and the image with its layers when nothing names or uses it any more.
  virtual Task<Result<void>> remove_image(std::string reference) = 0;
};

struct Options {
  std::string data_dir = "/var/lib/estiba";  ///< images/ and containers/ below it
  std::string run_dir = "/run/estiba";       ///< pods/<uid>/ below it
  std::string oci_program;                   ///< path of estiba-oci; empty: beside the running program
  size_t waiting_shims = 3;                  ///< started ahead of need after recover(), at most; they end with the engine
  std::vector<std::string> cdi_spec_dirs{"/etc/cdi", "/var/run/cdi"};  ///< where CDI devices are looked up (engine/cdi.h)
};

/// `executor` is the thread's that will use the engine, `pool` runs its blocking work; both outlive it.
Result<std::unique_ptr<Engine>> make_engine(Options options, Executor& executor, io::Pool& pool);

}  // namespace estiba::engine
