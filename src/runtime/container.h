// Containers as the OCI runtime command line knows them: by id, below a state directory.
//
//   <root>/<id>/state.json   who it is; written at the end of create, replaced atomically
//   <root>/<id>/config.json  the config as it was at create (for exec, and for hooks at delete)
//   <root>/<id>/exec.fifo    there from create until start
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "os/cgroup.h"
#include "runtime/launch.h"
#include "runtime/spec.h"

namespace estiba::runtime {

struct ContainerState {
  std::string id, bundle;
  pid_t pid = 0;
  uint64_t pid_start_time = 0;  ///< so that another process with the same number is not taken for it
  std::string created;          ///< RFC 3339
  std::string cgroup;           ///< "" without one
  std::string unit;             ///< systemd's scope whose group that is; "" without
  uint32_t owner = 0;
};

struct CreateOptions {
  std::string root = "/run/estiba/oci";
  std::string id, bundle;
  std::string pid_file, console_socket;
  int preserve_fds = 0;
  bool no_pivot = false;
  bool no_cgroup = false;
  bool systemd_cgroup = false;  ///< have systemd make the group
  /// Keep the control socket to start it from this process; otherwise `start` works from any.
  bool attached = false;
  int stdio[3] = {-1, -1, -1};
};

struct Container {
  ContainerState state;
  Spec spec;
  Launched process;  ///< after create with `attached`
};

/// "created", "running", "paused" or "stopped".
Result<std::string> container_status(const std::string& root, const ContainerState& state);

/// Code::already_exists when the id is taken. What fails leaves nothing behind.
Result<Container> create(const CreateOptions& options);
/// Code::not_found for an unknown id.
Result<ContainerState> load(const std::string& root, const std::string& id);
Result<Spec> load_spec(const std::string& root, const std::string& id);
Result<std::vector<ContainerState>> list(const std::string& root);
/// Code::conflict unless it is created.
Result<void> start(const std::string& root, const std::string& id);
/// The poststart hooks; start() runs them itself.
Result<void> after_start(const ContainerState& state, const Spec& spec);
/// `all`: every process in the container's cgroup.
Result<void> kill(const std::string& root, const std::string& id, int signal, bool all);
/// Code::conflict while it runs, unless `force`, which kills first. With `force` a missing container is fine.
Result<void> remove(const std::string& root, const std::string& id, bool force);
Result<void> pause(const std::string& root, const std::string& id);
Result<void> resume(const std::string& root, const std::string& id);
Result<void> update(const std::string& root, const std::string& id, const os::CgroupResources& resources);

struct ExecRequest {
  std::string root, id;
  SpecProcess process;
  std::string console_socket;
  int preserve_fds = 0;
  int stdio[3] = {-1, -1, -1};
};
/// A further process in a running container; it still waits for Launched::start().
Result<Launched> exec(const ExecRequest& request);

/// The group for a container without systemd: the config's path ("a:b:c" becomes "/a/b-c.scope"), else "/estiba-oci/<id>".
std::string cgroup_path_for(const Spec& spec, const std::string& id);
/// Cgroup device rules as the container gets them: the config's, then the usual devices that every container has.
os::CgroupResources with_usual_devices(os::CgroupResources resources, const Spec& spec);

}  // namespace estiba::runtime
