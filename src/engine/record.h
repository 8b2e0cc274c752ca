// What the engine writes down about sandboxes and containers, so that the next one can go on.
//
//   <run-dir>/pods/<uid>/           the shim's directory (runtime/shim_client.h)
//     engine/
//       sandbox.json                SandboxRecord; written before anything else is made
//       removing                    there once remove_sandbox() has begun: a restart finishes it
//       resolv.conf hosts hostname  mounted into the containers
//       shm/                        a tmpfs, mounted into the containers as /dev/shm
//       containers/<id>/
//         container.json            ContainerRecord; written before the container's root is mounted
//         config.json               the OCI bundle
//   <data-dir>/containers/<id>/     image (see image/store.h), upper/, work/, rootfs/ (the mounted root); engine/roots.h for those kept
//
// The run directory is gone after a reboot; what is in <data-dir>/containers without a container is then removed, unless it is to be kept.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/spec.h"

namespace estiba::engine {

struct Paths {
  std::string data_dir, run_dir;
  std::string pods() const { return run_dir + "/pods"; }
  std::string pod(std::string_view uid) const { return pods() + "/" + std::string(uid); }
  std::string files(std::string_view uid) const { return pod(uid) + "/engine"; }
  std::string bundle(std::string_view uid, std::string_view id) const { return files(uid) + "/containers/" + std::string(id); }
  std::string container(std::string_view id) const { return data_dir + "/containers/" + std::string(id); }
};

/// The parts of a SandboxSpec that outlive its start.
struct SandboxRecord {
  std::string uid, name, ns, owner, hostname, netns_path, cgroup_parent, log_dir;
  UserNamespace users;
  bool host_pid = false, host_ipc = false, share_process_namespace = false;
  bool stopped = false;  ///< stop_sandbox() was called
  WallTime created{};
  Labels labels, annotations;
};

struct ContainerRecord {
  enum class Phase : unsigned char {
    creating,  ///< create_container() was under way: undone by a restart
    created,   ///< ready to start, or started: the shim knows
    failed,    ///< start_container() failed for good
  };
  ContainerStatus status;  ///< state, pid, exit code and times only matter for `failed`
  Phase phase = Phase::creating;
  bool tty = false, stdin_open = false, stdin_once = false;
  bool keep_root = false;
  uint64_t log_max_bytes = 10 << 20;
  uint32_t log_max_files = 5;
};

std::string print_record(const SandboxRecord& record);
std::string print_record(const ContainerRecord& record);
Result<SandboxRecord> parse_sandbox_record(std::string_view text);
Result<ContainerRecord> parse_container_record(std::string_view text);

}  // namespace estiba::engine
