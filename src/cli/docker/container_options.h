// The flags of `run` and `create` that describe a container, and the body of POST /containers/create that they make.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/docker/flags.h"
#include "cli/docker/json_build.h"

namespace estiba::cli::docker {

struct ContainerOptions {
  std::vector<std::string> add_host, annotation, attach, blkio_weight_device, cap_add, cap_drop, device, device_cgroup_rule,
      device_read_bps, device_read_iops, device_write_bps, device_write_iops, dns, dns_option, dns_search, env, env_file, expose, gpus,
      group_add, label, label_file, link, link_local_ip, log_opt, mount, network, network_alias, publish, security_opt, storage_opt, sysctl,
      tmpfs, ulimit, volume, volumes_from;
  std::string cgroup_parent, cgroupns, cidfile, cpus, cpuset_cpus, cpuset_mems, domainname, entrypoint, health_cmd, hostname, ip, ip6, ipc,
      isolation, log_driver, mac_address, name, pid, platform, restart = "no", runtime, stop_signal, user, userns, uts, volume_driver,
                                                               workdir;
  int64_t blkio_weight = 0, cpu_count = 0, cpu_percent = 0, cpu_period = 0, cpu_quota = 0, cpu_rt_period = 0, cpu_rt_runtime = 0,
          cpu_shares = 0, health_interval = 0, health_retries = 0, health_start_interval = 0, health_start_period = 0, health_timeout = 0,
          io_maxbandwidth = 0, io_maxiops = 0, kernel_memory = 0, memory = 0, memory_reservation = 0, memory_swap = 0,
          memory_swappiness = -1, oom_score_adj = 0, pids_limit = 0, shm_size = 0, stop_timeout = 0;
  bool disable_content_trust = true, init = false, interactive = false, no_healthcheck = false, oom_kill_disable = false,
       privileged = false, publish_all = false, read_only = false, rm = false, tty = false;
  bool entrypoint_given = false, init_given = false, stop_timeout_given = false, health_given = false, pids_given = false;

  void declare(Flags& flags);
  /// After parsing: what was given.
  void note(const Flags& flags);

  bool attach_in = false, attach_out = false, attach_err = false;  ///< what build() made of --attach, -i and -d
};

/// Fills the request body. `image_and_command` is IMAGE [COMMAND] [ARG...]. Errors name the flag's value in Docker's words.
Result<void> build_container(ContainerOptions& options, const Arguments& image_and_command, bool detached, Object body);

// Parts of it, each testable alone.
/// "8080:80/tcp", "127.0.0.1:8000-8002:80-82", "[::1]::53/udp" → ExposedPorts and PortBindings.
Result<void> add_published(std::string_view spec, Object config, Object host);
/// "80", "53/udp", "8000-8010" → ExposedPorts.
Result<void> add_exposed(std::string_view spec, Object config);
/// "src:dst[:opts]" or "dst" → Binds or Volumes.
Result<void> add_volume(std::string_view spec, Object config, Object host);
/// "type=bind,source=/x,target=/y,readonly" → Mounts.
Result<void> add_mount(std::string_view spec, Object host);
/// "no", "on-failure[:N]", "always", "unless-stopped".
Result<void> set_restart_policy(std::string_view text, Object host);
/// "1.5" → 1500000000.
Result<int64_t> parse_nano_cpus(std::string_view text);
/// KEY=VALUE lines; KEY alone takes the value of this process's environment. `#` begins a comment line.
Result<std::vector<std::string>> read_env_file(const std::string& path, bool look_up);
/// Variables for -e and --env-file: "K=V" stays, "K" is looked up here and left out if it is not set.
Result<std::vector<std::string>> gather_env(const std::vector<std::string>& files, const std::vector<std::string>& variables);

}  // namespace estiba::cli::docker
