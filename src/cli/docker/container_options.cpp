#include "cli/docker/container_options.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/strings.h"
#include "cli/docker/terminal.h"
#include "model/cdi_name.h"
#include "os/file.h"

namespace estiba::cli::docker {

namespace {

std::optional<std::string> variable(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  return value ? std::optional<std::string>(value) : std::nullopt;
}

Result<void> add_labels(const ContainerOptions& options, Object config) {
  auto add = [&](std::string_view text) -> Result<void> {
    auto [key, value] = split_once(text, '=');
    if (key.empty()) return fail(Code::invalid, "invalid label format: " + quoted(text));
    config.object("Labels").set(key, value.value_or(""));
    return {};
  };
  for (const std::string& path : options.label_file)
    for (const std::string& line : TRY(read_env_file(path, false))) TRY(add(line));
  for (const std::string& label : options.label) TRY(add(label));
  return {};
}

Result<void> add_health(const ContainerOptions& options, Object config) {
  if (options.no_healthcheck) {
    if (options.health_given) return fail(Code::invalid, "--no-healthcheck conflicts with --health-* options");
    config.object("Healthcheck").set("Test", std::vector<std::string>{"NONE"});
    return {};
  }
  if (!options.health_given) return {};
  for (auto [value, name] : {std::pair(options.health_interval, "--health-interval"),
                             {options.health_timeout, "--health-timeout"},
                             {options.health_retries, "--health-retries"},
                             {options.health_start_period, "--health-start-period"},
                             {options.health_start_interval, "--health-start-interval"}})
    if (value < 0) return fail(Code::invalid, std::string(name) + " cannot be negative");
  Object health = config.object("Healthcheck");
  if (!options.health_cmd.empty()) health.set("Test", std::vector<std::string>{"CMD-SHELL", options.health_cmd});
  health.maybe("Interval", options.health_interval)
      .maybe("Timeout", options.health_timeout)
      .maybe("Retries", options.health_retries)
      .maybe("StartPeriod", options.health_start_period)
      .maybe("StartInterval", options.health_start_interval);
  return {};
}

Result<void> decide_attach(ContainerOptions& options, bool detached) {
  for (const std::string& each : options.attach) {
    const std::string name = to_lower(each);
    if (name == "stdin") options.attach_in = true;
    else if (name == "stdout") options.attach_out = true;
    else if (name == "stderr") options.attach_err = true;
    else
      return fail(Code::invalid,
                  "invalid argument " + quoted(each) + " for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR");
  }
  if (options.attach.empty() && !detached) {
    options.attach_out = options.attach_err = true;
    options.attach_in = options.interactive;
  }
  return {};
}

// "name:value" or "name=value" pairs of a device and a number.
Result<void> add_device_numbers(Object host, std::string_view key, const std::vector<std::string>& values, std::string_view number,
                                bool bytes) {
  for (const std::string& each : values) {
    auto [path, text] = split_once(each, ':');
    if (!text || !path.starts_with("/dev/")) return fail(Code::invalid, "bad format for device path: " + each);
    auto value = bytes ? parse_bytes(*text) : Result<int64_t>(parse_number<int64_t>(*text).value_or(-1));
    if (!value || *value < 0) {
      return fail(Code::invalid, "invalid rate for device: " + each + ". The correct format is <device-path>:<number>" +
                                     (bytes ? "[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
                                            : ". Number must be a positive integer"));
    }
    host.append(key).set("Path", path).set(number, *value);
  }
  return {};
}

Result<void> add_devices(const ContainerOptions& options, Object host) {
  std::vector<std::string> cdi;
  std::ranges::copy_if(options.device, std::back_inserter(cdi),
                       [](const std::string& spec) { return model::parse_cdi_name(spec).has_value(); });
  if (!cdi.empty()) host.append("DeviceRequests").set("Driver", "cdi").set("DeviceIDs", cdi);
  for (const std::string& spec : options.device) {
    if (model::parse_cdi_name(spec)) continue;
    const auto parts = split(spec, ':');
    auto is_mode = [](std::string_view text) { return !text.empty() && text.find_first_not_of("rwm") == text.npos; };
    std::string_view inside = parts[0], mode = "rwm";
    if (parts.size() > 3 || parts[0].empty()) return fail(Code::invalid, "invalid device specification: " + spec);
    if (parts.size() == 3) {
      if (!is_mode(parts[2])) return fail(Code::invalid, "invalid device mode: " + std::string(parts[2]));
      mode = parts[2];
    }
    if (parts.size() >= 2 && is_mode(parts[1]) && parts.size() == 2) mode = parts[1];
    else if (parts.size() >= 2) inside = parts[1];
    host.append("Devices").set("PathOnHost", parts[0]).set("PathInContainer", inside).set("CgroupPermissions", mode);
  }
  TRY(add_device_numbers(host, "BlkioWeightDevice", options.blkio_weight_device, "Weight", false));
  TRY(add_device_numbers(host, "BlkioDeviceReadBps", options.device_read_bps, "Rate", true));
  TRY(add_device_numbers(host, "BlkioDeviceWriteBps", options.device_write_bps, "Rate", true));
  TRY(add_device_numbers(host, "BlkioDeviceReadIOps", options.device_read_iops, "Rate", false));
  return add_device_numbers(host, "BlkioDeviceWriteIOps", options.device_write_iops, "Rate", false);
}

Result<void> add_ulimits(const ContainerOptions& options, Object host) {
  for (const std::string& spec : options.ulimit) {
    auto [name, limits] = split_once(spec, '=');
    if (!limits) return fail(Code::invalid, "invalid ulimit argument: " + spec);
    auto [soft, hard] = split_once(*limits, ':');
    const auto low = parse_number<int64_t>(soft), high = hard ? parse_number<int64_t>(*hard) : low;
    if (!low || !high) return fail(Code::invalid, "invalid ulimit argument: " + spec + ": NAME=SOFT[:HARD] is expected");
    if (*high != -1 && (*low > *high || *low == -1))
      return fail(Code::invalid,
                  "ulimit soft limit must be less than or equal to hard limit: " + std::to_string(*low) + " > " + std::to_string(*high));
    host.append("Ulimits").set("Name", name).set("Soft", *low).set("Hard", *high);
  }
  return {};
}

Result<void> add_pairs(Object host, std::string_view key, const std::vector<std::string>& pairs, std::string_view what) {
  for (const std::string& pair : pairs) {
    auto [name, value] = split_once(pair, '=');
    if (!value || name.empty()) return fail(Code::invalid, "invalid " + std::string(what) + ": " + pair);
    host.object(key).set(name, *value);
  }
  return {};
}

Result<void> add_security(const ContainerOptions& options, Object host) {
  for (const std::string& option : options.security_opt) {
    auto [key, value] = split_once(option, option.contains('=') ? '=' : ':');
    if (!value && key != "no-new-privileges" && key != "disable" && key != "systempaths")
      return fail(Code::invalid, "invalid --security-opt: " + quoted(option));
    if (option == "systempaths=unconfined") {
      host.set("MaskedPaths", std::vector<std::string>{}).set("ReadonlyPaths", std::vector<std::string>{});
      continue;
    }
    if (key == "seccomp" && *value != "unconfined" && *value != "builtin") {
      auto profile = os::read_file(std::string(*value));
      if (!profile) return fail(Code::invalid, "opening seccomp profile (" + std::string(*value) + ") failed: " + profile.error().message);
      auto parsed = json::Document::parse(*profile);
      if (!parsed)
        return fail(Code::invalid, "compacting json for seccomp profile (" + std::string(*value) + ") failed: " + parsed.error().message);
      host.append("SecurityOpt", "seccomp=" + json::print(parsed->root()));
      continue;
    }
    host.append("SecurityOpt", option);
  }
  return {};
}

Result<void> add_gpus(const ContainerOptions& options, Object host) {
  for (const std::string& spec : options.gpus) {
    Object request = host.append("DeviceRequests");
    int64_t count = 1;
    std::vector<std::string> ids, capabilities = {"gpu"};
    for (std::string_view field : split(spec, ',')) {
      auto [key, value] = split_once(field, '=');
      const std::string_view text = value.value_or(key);
      if (!value || key == "count") {
        const auto number = parse_number<int64_t>(text);
        if (text != "all" && !number)
          return fail(Code::invalid, "invalid argument " + quoted(spec) + " for \"--gpus\" flag: invalid count " + quoted(text));
        count = text == "all" ? -1 : *number;
      } else if (key == "device") {
        ids.emplace_back(text);
        count = 0;
      } else if (key == "driver") {
        request.set("Driver", text);
      } else if (key == "capabilities") {
        capabilities.emplace_back(text);
      } else {
        return fail(Code::invalid, "invalid argument " + quoted(spec) + " for \"--gpus\" flag: unexpected key '" + std::string(key) + "'");
      }
    }
    request.set("Count", count).maybe("DeviceIDs", ids);
    json::Document& document = request.document();
    json::Node& alternatives = document.make_array();
    json::Node& list = document.append(alternatives, document.make_array());
    for (const std::string& each : capabilities) document.append(list, document.make_string(each));
    request.put("Capabilities", alternatives);
  }
  return {};
}

Result<void> add_limits(const ContainerOptions& options, Object host) {
  host.maybe("BlkioWeight", options.blkio_weight)
      .maybe("CpuPeriod", options.cpu_period)
      .maybe("CpuQuota", options.cpu_quota)
      .maybe("CpuRealtimePeriod", options.cpu_rt_period)
      .maybe("CpuRealtimeRuntime", options.cpu_rt_runtime)
      .maybe("CpuShares", options.cpu_shares)
      .maybe("CpusetCpus", options.cpuset_cpus)
      .maybe("CpusetMems", options.cpuset_mems)
      .maybe("KernelMemory", options.kernel_memory)
      .maybe("Memory", options.memory)
      .maybe("MemoryReservation", options.memory_reservation)
      .maybe("MemorySwap", options.memory_swap)
      .maybe("OomScoreAdj", options.oom_score_adj)
      .maybe("ShmSize", options.shm_size);
  if (!options.cpus.empty()) host.set("NanoCpus", TRY(parse_nano_cpus(options.cpus)));
  if (options.memory_swappiness != -1) {
    if (options.memory_swappiness < 0 || options.memory_swappiness > 100)
      return fail(Code::invalid,
                  "invalid value: " + std::to_string(options.memory_swappiness) + ". Valid memory swappiness range is 0-100");
    host.set("MemorySwappiness", options.memory_swappiness);
  }
  if (options.pids_given) host.set("PidsLimit", options.pids_limit);
  if (options.oom_kill_disable) host.set("OomKillDisable", true);
  return add_ulimits(options, host);
}

Result<void> add_namespaces(const ContainerOptions& options, Object host) {
  auto container_or = [](const std::string& value, std::initializer_list<std::string_view> known) {
    return value.empty() || value.starts_with("container:") || std::find(known.begin(), known.end(), value) != known.end();
  };
  if (!container_or(options.pid, {"host"})) return fail(Code::invalid, "--pid: invalid PID mode");
  if (!container_or(options.uts, {"host"}) || options.uts.starts_with("container:")) return fail(Code::invalid, "--uts: invalid UTS mode");
  if (options.userns != "" && options.userns != "host") return fail(Code::invalid, "--userns: invalid USER mode");
  if (options.cgroupns != "" && options.cgroupns != "host" && options.cgroupns != "private")
    return fail(Code::invalid, "--cgroupns: invalid CGROUP mode");
  host.maybe("PidMode", options.pid)
      .maybe("IpcMode", options.ipc)
      .maybe("UTSMode", options.uts)
      .maybe("UsernsMode", options.userns)
      .maybe("CgroupnsMode", options.cgroupns)
      .maybe("CgroupParent", options.cgroup_parent)
      .maybe("Isolation", options.isolation)
      .maybe("Runtime", options.runtime);
  return {};
}

struct NetworkOption {
  std::string name;
  std::vector<std::string> aliases, link_local, driver_options;
  std::string ip, ip6, mac;
  int64_t priority = 0;
};

Result<NetworkOption> parse_network(std::string_view spec) {
  NetworkOption out;
  if (!spec.contains('=')) {
    out.name = spec;
    return out;
  }
  for (std::string_view field : split(spec, ',')) {
    auto [key, value] = split_once(field, '=');
    if (!value) return fail(Code::invalid, "invalid field " + std::string(field) + ": it must be a key=value pair");
    if (key == "name") out.name = *value;
    else if (key == "alias") out.aliases.emplace_back(*value);
    else if (key == "ip") out.ip = *value;
    else if (key == "ip6") out.ip6 = *value;
    else if (key == "mac-address") out.mac = *value;
    else if (key == "link-local-ip") out.link_local.emplace_back(*value);
    else if (key == "driver-opt") out.driver_options.emplace_back(*value);
    else if (key == "gw-priority") out.priority = parse_number<int64_t>(*value).value_or(0);
    else return fail(Code::invalid, "invalid field key " + std::string(key));
  }
  if (out.name.empty()) return fail(Code::invalid, "network name is missing in " + quoted(spec));
  return out;
}

Result<void> add_networks(const ContainerOptions& options, Object host, Object body) {
  std::vector<NetworkOption> networks;
  for (const std::string& spec : options.network) networks.push_back(TRY(parse_network(spec)));
  if (networks.empty()) networks.push_back({.name = "default"});
  NetworkOption& first = networks[0];
  host.set("NetworkMode", first.name);
  const bool own = first.name != "default" && first.name != "bridge" && first.name != "host" && first.name != "none" &&
                   !first.name.starts_with("container:");
  auto fill = [](std::string& to, const std::string& from, const char* what) -> Result<void> {
    if (from.empty()) return {};
    if (!to.empty())
      return fail(Code::invalid, std::string("conflicting options: cannot specify both --") + what + " and per-network " + what);
    to = from;
    return {};
  };
  TRY(fill(first.ip, options.ip, "ip"));
  TRY(fill(first.ip6, options.ip6, "ip6"));
  TRY(fill(first.mac, options.mac_address, "mac-address"));
  first.aliases.insert(first.aliases.end(), options.network_alias.begin(), options.network_alias.end());
  first.link_local.insert(first.link_local.end(), options.link_local_ip.begin(), options.link_local_ip.end());
  if (!own) host.maybe("Links", options.link);
  Object endpoints = body.object("NetworkingConfig").object("EndpointsConfig");
  for (size_t i = 0; i < networks.size(); ++i) {
    const NetworkOption& network = networks[i];
    const bool plain =
        network.aliases.empty() && network.ip.empty() && network.ip6.empty() && network.mac.empty() && network.link_local.empty();
    if (i == 0 && plain && !own) continue;  // the mode says it all
    Object endpoint = endpoints.object(network.name);
    endpoint.maybe("Aliases", network.aliases).maybe("MacAddress", network.mac).maybe("GwPriority", network.priority);
    if (i == 0 && own) endpoint.maybe("Links", options.link);
    if (!network.ip.empty() || !network.ip6.empty() || !network.link_local.empty())
      endpoint.object("IPAMConfig")
          .maybe("IPv4Address", network.ip)
          .maybe("IPv6Address", network.ip6)
          .maybe("LinkLocalIPs", network.link_local);
    TRY(add_pairs(endpoint, "DriverOpts", network.driver_options, "driver-opt"));
  }
  return {};
}

Result<void> add_names(const ContainerOptions& options, Object host) {
  for (const std::string& spec : options.add_host) {
    auto [name, address] = split_once(spec, spec.contains('=') ? '=' : ':');
    if (!address || name.empty() || address->empty())
      return fail(Code::invalid, "invalid argument " + quoted(spec) + " for \"--add-host\" flag: bad format for add-host: " + quoted(spec));
    std::string_view bare = *address;
    if (bare.starts_with('[') && bare.ends_with(']')) bare = bare.substr(1, bare.size() - 2);
    host.append("ExtraHosts", std::string(name) + ":" + std::string(bare));
  }
  host.maybe("Dns", options.dns).maybe("DnsOptions", options.dns_option).maybe("DnsSearch", options.dns_search);
  return {};
}

Result<void> fill_config(ContainerOptions& options, const Arguments& arguments, bool detached, Object config) {
  TRY(decide_attach(options, detached));
  config.set("Hostname", options.hostname).set("Domainname", options.domainname).set("User", options.user);
  config.set("AttachStdin", options.attach_in).set("AttachStdout", options.attach_out).set("AttachStderr", options.attach_err);
  config.set("Tty", options.tty)
      .set("OpenStdin", options.interactive)
      .set("StdinOnce", options.attach_in && options.interactive && !detached);
  config.set("Image", arguments[0]).set("WorkingDir", options.workdir);
  config.set("Env", TRY(gather_env(options.env_file, options.env)));
  if (arguments.size() > 1) config.set("Cmd", std::vector<std::string>(arguments.begin() + 1, arguments.end()));
  if (options.entrypoint_given) config.set("Entrypoint", std::vector<std::string>{options.entrypoint});
  config.maybe("StopSignal", options.stop_signal);
  if (options.stop_timeout_given) config.set("StopTimeout", options.stop_timeout);
  TRY(add_labels(options, config));
  return add_health(options, config);
}

Result<void> fill_host(const ContainerOptions& options, Object config, Object host) {
  for (const std::string& spec : options.volume) TRY(add_volume(spec, config, host));
  for (const std::string& spec : options.mount) TRY(add_mount(spec, host));
  for (const std::string& spec : options.tmpfs) {
    auto [path, mount_options] = split_once(spec, ':');
    host.object("Tmpfs").set(path, mount_options.value_or(""));
  }
  for (const std::string& spec : options.publish) TRY(add_published(spec, config, host));
  for (const std::string& spec : options.expose) TRY(add_exposed(spec, config));
  host.maybe("PublishAllPorts", options.publish_all)
      .maybe("VolumesFrom", options.volumes_from)
      .maybe("VolumeDriver", options.volume_driver);
  host.maybe("CapAdd", options.cap_add).maybe("CapDrop", options.cap_drop).maybe("GroupAdd", options.group_add);
  host.maybe("Privileged", options.privileged).maybe("ReadonlyRootfs", options.read_only).maybe("AutoRemove", options.rm);
  host.maybe("DeviceCgroupRules", options.device_cgroup_rule);
  if (options.init_given) host.set("Init", options.init);
  if (options.rm && options.restart != "no" && !options.restart.empty())
    return fail(Code::invalid, "conflicting options: cannot specify both --restart and --rm");
  TRY(set_restart_policy(options.restart, host));
  TRY(add_devices(options, host));
  TRY(add_limits(options, host));
  TRY(add_namespaces(options, host));
  TRY(add_names(options, host));
  TRY(add_security(options, host));
  TRY(add_gpus(options, host));
  host.object("LogConfig").set("Type", options.log_driver);
  TRY(add_pairs(host.object("LogConfig"), "Config", options.log_opt, "logging opts"));
  TRY(add_pairs(host, "StorageOpt", options.storage_opt, "storage option"));
  TRY(add_pairs(host, "Annotations", options.annotation, "annotation"));
  return add_pairs(host, "Sysctls", options.sysctl, "sysctl");
}

}  // namespace

Result<int64_t> parse_nano_cpus(std::string_view text) {
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  if (copy.empty() || *end != '\0' || !std::isfinite(value) || value < 0 || value > 1e6)
    return fail(Code::invalid, "failed to parse " + copy + " as a rational number");
  const double nano = value * 1e9;
  if (std::fabs(nano - std::round(nano)) > 1e-3) return fail(Code::invalid, "value is too precise");
  return int64_t(std::round(nano));
}

Result<void> set_restart_policy(std::string_view text, Object host) {
  auto [name, count] = split_once(text, ':');
  int64_t retries = 0;
  if (count) {
    auto number = parse_number<int64_t>(*count);
    if (!number) return fail(Code::invalid, "invalid restart policy format: maximum retry count must be an integer");
    retries = *number;
  }
  if (name.empty() && count) return fail(Code::invalid, "invalid restart policy format: no policy provided before colon");
  host.object("RestartPolicy").set("Name", name.empty() ? "no" : name).set("MaximumRetryCount", retries);
  return {};
}

Result<std::vector<std::string>> read_env_file(const std::string& path, bool look_up) {
  auto text = os::read_file(path);
  if (!text)
    return fail(text.error().code,
                "open " + path + ": " + (text.error().code == Code::not_found ? "no such file or directory" : text.error().message));
  std::vector<std::string> out;
  size_t number = 0;
  for (std::string_view line : split(*text, '\n')) {
    ++number;
    if (number == 1 && line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
    if (line.ends_with('\r')) line.remove_suffix(1);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (line.empty() || line.starts_with('#')) continue;
    auto [name, value] = split_once(line, '=');
    if (name.empty()) return fail(Code::invalid, "no variable name on line '" + std::string(line) + "'");
    if (name.find_first_of(" \t") != name.npos) return fail(Code::invalid, "variable '" + std::string(name) + "' contains whitespaces");
    if (value || !look_up) {
      out.emplace_back(line);
    } else if (auto found = variable(name)) {
      out.push_back(std::string(name) + "=" + *found);
    }
  }
  return out;
}

Result<std::vector<std::string>> gather_env(const std::vector<std::string>& files, const std::vector<std::string>& variables) {
  std::vector<std::string> out;
  for (const std::string& path : files)
    for (std::string& line : TRY(read_env_file(path, true))) out.push_back(std::move(line));
  for (const std::string& each : variables) {
    auto [name, value] = split_once(each, '=');
    if (name.empty())
      return fail(Code::invalid, "invalid argument " + quoted(each) + " for \"-e, --env\" flag: invalid environment variable: " + each);
    if (value) out.push_back(each);
    else if (auto found = variable(name)) out.push_back(each + "=" + *found);
    else out.push_back(each);  // the daemon takes the image's away
  }
  return out;
}

Result<void> build_container(ContainerOptions& options, const Arguments& image_and_command, bool detached, Object body) {
  TRY(fill_config(options, image_and_command, detached, body));
  Object host = body.object("HostConfig");
  TRY(fill_host(options, body, host));
  TRY(add_networks(options, host, body));
  if (options.tty) {
    if (auto size = window_size()) {
      json::Document& document = host.document();
      json::Node& pair = document.make_array();
      document.append(pair, document.make_int(size->rows));
      document.append(pair, document.make_int(size->columns));
      host.put("ConsoleSize", pair);
    }
  }
  return {};
}

}  // namespace estiba::cli::docker
