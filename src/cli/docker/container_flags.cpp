#include "cli/docker/container_options.h"

namespace estiba::cli::docker {

void ContainerOptions::declare(Flags& f) {
  f.add("add-host", &add_host, "Add a custom host-to-IP mapping (host:ip)");
  f.add("annotation", &annotation, "Add an annotation, passed on to the runtime", "map");
  f.add("attach,a", &attach, "Attach to STDIN, STDOUT or STDERR");
  f.add("blkio-weight", &blkio_weight, "Block IO weight, 10 to 1000, or 0 to disable", "uint16");
  f.add("blkio-weight-device", &blkio_weight_device, "Block IO weight of a device (path:weight)");
  f.add("cap-add", &cap_add, "Add Linux capabilities");
  f.add("cap-drop", &cap_drop, "Drop Linux capabilities");
  f.add("cgroup-parent", &cgroup_parent, "Parent cgroup for the container");
  f.add("cgroupns", &cgroupns, "Cgroup namespace to use (host|private)");
  f.add("cidfile", &cidfile, "Write the container ID to the file");
  f.add("cpu-count", &cpu_count, "CPU count (Windows only)");
  f.hide();
  f.add("cpu-percent", &cpu_percent, "CPU percent (Windows only)");
  f.hide();
  f.add("cpu-period", &cpu_period, "Period of the CPU quota in microseconds");
  f.add("cpu-quota", &cpu_quota, "CPU time in a period, in microseconds");
  f.add("cpu-rt-period", &cpu_rt_period, "Period of real-time scheduling in microseconds");
  f.add("cpu-rt-runtime", &cpu_rt_runtime, "Real-time CPU time in a period, in microseconds");
  f.add("cpu-shares,c", &cpu_shares, "CPU shares (relative weight)");
  f.add("cpus", &cpus, "Number of CPUs", "decimal");
  f.add("cpuset-cpus", &cpuset_cpus, "CPUs to run on (0-3, 0,1)");
  f.add("cpuset-mems", &cpuset_mems, "Memory nodes to use (0-3, 0,1)");
  f.add("device", &device, "Add a host device to the container");
  f.add("device-cgroup-rule", &device_cgroup_rule, "Add a rule to the devices that the cgroup allows");
  f.add("device-read-bps", &device_read_bps, "Limit reading from a device (path:bytes a second)");
  f.add("device-read-iops", &device_read_iops, "Limit reading from a device (path:operations a second)");
  f.add("device-write-bps", &device_write_bps, "Limit writing to a device (path:bytes a second)");
  f.add("device-write-iops", &device_write_iops, "Limit writing to a device (path:operations a second)");
  f.add("disable-content-trust", &disable_content_trust, "Skip image verification");
  f.add("dns", &dns, "Set custom DNS servers");
  f.add("dns-opt", &dns_option, "Set DNS options");
  f.hide();
  f.add("dns-option", &dns_option, "Set DNS options");
  f.add("dns-search", &dns_search, "Set custom DNS search domains");
  f.add("domainname", &domainname, "Container NIS domain name");
  f.add("entrypoint", &entrypoint, "Overwrite the image's ENTRYPOINT");
  f.add("env,e", &env, "Set environment variables");
  f.add("env-file", &env_file, "Read in a file of environment variables");
  f.add("expose", &expose, "Expose a port or a range of ports");
  f.add("gpus", &gpus, "GPU devices to add ('all' for all GPUs)", "gpu-request");
  f.add("group-add", &group_add, "Add additional groups to join");
  f.add("health-cmd", &health_cmd, "Command that checks the container's health");
  f.add_duration("health-interval", &health_interval, "Time between checks (ms|s|m|h)");
  f.add("health-retries", &health_retries, "Failures in a row that make it unhealthy");
  f.add_duration("health-start-interval", &health_start_interval, "Time between checks during the start period (ms|s|m|h)");
  f.add_duration("health-start-period", &health_start_period, "Time to initialize before failures count (ms|s|m|h)");
  f.add_duration("health-timeout", &health_timeout, "Longest time that a check may take (ms|s|m|h)");
  f.add("hostname,h", &hostname, "Container host name");
  f.add("init", &init, "Run an init that forwards signals and reaps processes");
  f.add("interactive,i", &interactive, "Keep STDIN open even if not attached");
  f.add_bytes("io-maxbandwidth", &io_maxbandwidth, "Maximum IO bandwidth (Windows only)");
  f.hide();
  f.add("io-maxiops", &io_maxiops, "Maximum IOps (Windows only)");
  f.hide();
  f.add("ip", &ip, "IPv4 address (e.g., 172.30.100.104)");
  f.add("ip6", &ip6, "IPv6 address (e.g., 2001:db8::33)");
  f.add("ipc", &ipc, "IPC mode to use");
  f.add("isolation", &isolation, "Container isolation technology");
  f.add_bytes("kernel-memory", &kernel_memory, "Kernel memory limit");
  f.hide();
  f.add("label,l", &label, "Set meta data on a container");
  f.add("label-file", &label_file, "Read in a file of labels, one a line");
  f.add("link", &link, "Add link to another container");
  f.add("link-local-ip", &link_local_ip, "Container IPv4/IPv6 link-local addresses");
  f.add("log-driver", &log_driver, "Logging driver for the container");
  f.add("log-opt", &log_opt, "Log driver options");
  f.add("mac-address", &mac_address, "Container MAC address (e.g., 92:d0:c6:0a:29:33)");
  f.add_bytes("memory,m", &memory, "Memory limit");
  f.add_bytes("memory-reservation", &memory_reservation, "Memory soft limit");
  f.add_bytes("memory-swap", &memory_swap, "Limit of memory and swap together: '-1' for unlimited swap", true);
  f.add("memory-swappiness", &memory_swappiness, "Tune container memory swappiness (0 to 100)");
  f.add("mount", &mount, "Attach a filesystem mount to the container", "mount");
  f.add("name", &name, "Assign a name to the container");
  f.add("net", &network, "Connect a container to a network", "network");
  f.hide();
  f.add("net-alias", &network_alias, "Add network-scoped alias for the container");
  f.hide();
  f.add("network", &network, "Connect a container to a network", "network");
  f.add("network-alias", &network_alias, "Add network-scoped alias for the container");
  f.add("no-healthcheck", &no_healthcheck, "Disable the image's HEALTHCHECK");
  f.add("oom-kill-disable", &oom_kill_disable, "Disable OOM Killer");
  f.add("oom-score-adj", &oom_score_adj, "Tune the host's OOM preferences (-1000 to 1000)");
  f.add("pid", &pid, "PID namespace to use");
  f.add("pids-limit", &pids_limit, "Limit the number of processes (-1: unlimited)");
  f.add("platform", &platform, "Platform of the image, as linux/arm64");
  f.add("privileged", &privileged, "Give extended privileges to this container");
  f.add("publish,p", &publish, "Publish a container's port(s) to the host");
  f.add("publish-all,P", &publish_all, "Publish all exposed ports to random ports");
  f.add("read-only", &read_only, "Mount the container's root filesystem as read only");
  f.add("restart", &restart, "Restart policy to apply when a container exits");
  f.add("rm", &rm, "Remove the container and its anonymous volumes when it exits");
  f.add("runtime", &runtime, "Runtime to use for this container");
  f.add("security-opt", &security_opt, "Security Options");
  f.add_bytes("shm-size", &shm_size, "Size of /dev/shm");
  f.add("stop-signal", &stop_signal, "Signal to stop the container");
  f.add("stop-timeout", &stop_timeout, "Timeout (in seconds) to stop a container");
  f.add("storage-opt", &storage_opt, "Storage driver options for the container");
  f.add("sysctl", &sysctl, "Sysctl options", "map");
  f.add("tmpfs", &tmpfs, "Mount a tmpfs directory");
  f.add("tty,t", &tty, "Allocate a pseudo-TTY");
  f.add("ulimit", &ulimit, "Ulimit options", "ulimit");
  f.add("user,u", &user, "Username or UID (format: <name|uid>[:<group|gid>])");
  f.add("userns", &userns, "User namespace to use");
  f.add("uts", &uts, "UTS namespace to use");
  f.add("volume,v", &volume, "Bind mount a volume");
  f.add("volume-driver", &volume_driver, "Volume driver for the container");
  f.add("volumes-from", &volumes_from, "Mount volumes from the specified container(s)");
  f.add("workdir,w", &workdir, "Working directory inside the container");
}

void ContainerOptions::note(const Flags& flags) {
  entrypoint_given = flags.given("entrypoint");
  init_given = flags.given("init");
  stop_timeout_given = flags.given("stop-timeout");
  pids_given = flags.given("pids-limit");
  for (const char* name :
       {"health-cmd", "health-interval", "health-retries", "health-start-interval", "health-start-period", "health-timeout"})
    health_given = health_given || flags.given(name);
}

}  // namespace estiba::cli::docker
