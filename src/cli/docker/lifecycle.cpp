// docker stop, restart, kill, pause, unpause, rm, rename, wait, update, container prune: what changes a container's life.
#include <cstdio>

#include "base/strings.h"
#include "cli/docker/container_options.h"
#include "cli/docker/format.h"
#include "cli/docker/json_build.h"
#include "cli/docker/session.h"
#include "cli/docker/verb.h"
#include "cli/docker/verbs.h"

namespace estiba::cli::docker {

namespace {

void print_name(std::string_view name) { std::printf("%.*s\n", int(name.size()), name.data()); }

// POST /containers/NAME/ACTION for all names, each printed when it is done.
Result<int> act(Call& call, const Arguments& names, std::string_view action, const io::Query& query = {}) {
  Client& client = *TRY(call.cli.client());
  return for_each(names, [&](std::string_view name) -> Result<void> {
    TRY(client.text({.method = "POST", .path = "/containers/" + segment(name) + "/" + std::string(action), .query = query}));
    print_name(name);
    return {};
  });
}

Result<int> stop_or_restart(Call& call, std::string_view action) {
  std::string signal;
  int64_t timeout = 0;
  Flags flags(call);
  flags.add("signal,s", &signal, "Signal to send to the container");
  flags.add("timeout,t", &timeout, "Seconds to wait before killing the container");
  flags.add("time", &timeout, "Seconds to wait before killing the container");
  flags.hide();
  const Arguments names = TRY(flags.parse());
  io::Query query;
  if (flags.given("timeout") || flags.given("time")) query.add("t", std::to_string(timeout));
  if (!signal.empty()) query.add("signal", signal);
  return act(call, names, action, query);
}

}  // namespace

Result<int> stop(Call& call) { return stop_or_restart(call, "stop"); }
Result<int> restart(Call& call) { return stop_or_restart(call, "restart"); }

Result<int> kill(Call& call) {
  std::string signal;
  Flags flags(call);
  flags.add("signal,s", &signal, "Signal to send to the container");
  const Arguments names = TRY(flags.parse());
  io::Query query;
  if (!signal.empty()) query.add("signal", signal);
  return act(call, names, "kill", query);
}

Result<int> pause(Call& call) {
  Flags flags(call);
  return act(call, TRY(flags.parse()), "pause");
}
Result<int> unpause(Call& call) {
  Flags flags(call);
  return act(call, TRY(flags.parse()), "unpause");
}

Result<int> rm(Call& call) {
  bool force = false, link = false, volumes = false;
  Flags flags(call);
  flags.add("force,f", &force, "Force the removal of a running container (uses SIGKILL)");
  flags.add("link,l", &link, "Remove the specified link");
  flags.add("volumes,v", &volumes, "Remove anonymous volumes associated with the container");
  const Arguments names = TRY(flags.parse());
  io::Query query;
  if (force) query.add("force", "1");
  if (link) query.add("link", "1");
  if (volumes) query.add("v", "1");
  Client& client = *TRY(call.cli.client());
  return for_each(names, [&](std::string_view name) -> Result<void> {
    while (name.starts_with('/')) name.remove_prefix(1);
    if (name.empty()) return fail(Code::invalid, "container name cannot be empty");
    auto removed = client.text({.method = "DELETE", .path = "/containers/" + segment(name), .query = query});
    // With --force, what is not there is as good as removed, but it is said.
    if (!removed && force && removed.error().code == Code::not_found) {
      complain(removed.error().message);
      return {};
    }
    if (!removed) return std::unexpected(std::move(removed.error()));
    print_name(name);
    return {};
  });
}

Result<int> rename(Call& call) {
  Flags flags(call);
  const Arguments names = TRY(flags.parse());
  if (trim(names[1]).empty()) return fail(Code::invalid, "Error: Neither old nor new names may be empty");
  Request request{.method = "POST", .path = "/containers/" + segment(names[0]) + "/rename"};
  request.query.add("name", std::string(names[1]));
  auto renamed = TRY(call.cli.client())->text(std::move(request));
  if (!renamed) {
    complain(renamed.error().message);
    return fail(Code::invalid, "Error: failed to rename container named " + std::string(names[0]));
  }
  return 0;
}

Result<int> wait(Call& call) {
  Flags flags(call);
  const Arguments names = TRY(flags.parse());
  return for_each(names, [&](std::string_view name) -> Result<void> {
    Waiting waiting = TRY(Waiting::begin(call.cli, name, "not-running"));
    std::printf("%d\n", TRY(waiting.end()));
    std::fflush(stdout);
    return {};
  });
}

Result<int> update(Call& call) {
  ContainerOptions options;
  options.restart.clear();
  Flags flags(call);
  flags.add("blkio-weight", &options.blkio_weight, "Block IO weight, 10 to 1000, or 0 to disable", "uint16");
  flags.add("cpu-period", &options.cpu_period, "Period of the CPU quota in microseconds");
  flags.add("cpu-quota", &options.cpu_quota, "CPU time in a period, in microseconds");
  flags.add("cpu-rt-period", &options.cpu_rt_period, "Period of real-time scheduling in microseconds");
  flags.add("cpu-rt-runtime", &options.cpu_rt_runtime, "Real-time CPU time in a period, in microseconds");
  flags.add("cpu-shares,c", &options.cpu_shares, "CPU shares (relative weight)");
  flags.add("cpus", &options.cpus, "Number of CPUs", "decimal");
  flags.add("cpuset-cpus", &options.cpuset_cpus, "CPUs to run on (0-3, 0,1)");
  flags.add("cpuset-mems", &options.cpuset_mems, "Memory nodes to use (0-3, 0,1)");
  flags.add_bytes("kernel-memory", &options.kernel_memory, "Kernel memory limit");
  flags.hide();
  flags.add_bytes("memory,m", &options.memory, "Memory limit");
  flags.add_bytes("memory-reservation", &options.memory_reservation, "Memory soft limit");
  flags.add_bytes("memory-swap", &options.memory_swap, "Limit of memory and swap together: -1 for unlimited swap", true);
  flags.add("pids-limit", &options.pids_limit, "Limit the number of processes (-1: unlimited)");
  flags.add("restart", &options.restart, "Restart policy to apply when a container exits");
  const Arguments names = TRY(flags.parse());
  Builder body;
  body.maybe("BlkioWeight", options.blkio_weight).maybe("CpuPeriod", options.cpu_period).maybe("CpuQuota", options.cpu_quota);
  body.maybe("CpuRealtimePeriod", options.cpu_rt_period)
      .maybe("CpuRealtimeRuntime", options.cpu_rt_runtime)
      .maybe("CpuShares", options.cpu_shares);
  body.maybe("CpusetCpus", options.cpuset_cpus).maybe("CpusetMems", options.cpuset_mems).maybe("Memory", options.memory);
  body.maybe("MemoryReservation", options.memory_reservation).maybe("MemorySwap", options.memory_swap);
  if (!options.cpus.empty()) body.set("NanoCpus", TRY(parse_nano_cpus(options.cpus)));
  if (flags.given("pids-limit")) body.set("PidsLimit", options.pids_limit);
  if (!options.restart.empty()) TRY(set_restart_policy(options.restart, body));
  if (body.node().empty()) return fail(Code::invalid, "you must provide one or more flags when using this command");
  Client& client = *TRY(call.cli.client());
  std::vector<std::string> warnings;
  auto code = for_each(names, [&](std::string_view name) -> Result<void> {
    const json::Document answer =
        TRY(client.call({.method = "POST", .path = "/containers/" + segment(name) + "/update", .body = body.text()}));
    print_name(name);
    if (const json::Node* list = answer.root().find("Warnings"))
      for (const json::Node& warning : *list) warnings.emplace_back(warning.as_string());
    return {};
  });
  for (const std::string& warning : warnings) complain(warning);
  return code;
}

Result<int> port(Call& call) {
  Flags flags(call);
  const Arguments arguments = TRY(flags.parse());
  std::string wanted;
  if (arguments.size() > 1) {
    auto [number, protocol] = split_once(arguments[1], '/');
    if (!parse_number<uint16_t>(number))
      return fail(Code::invalid,
                  "Error: invalid port (" + std::string(number) + "): strconv.ParseUint: parsing " + quoted(number) + ": invalid syntax");
    wanted = std::string(number) + "/" + std::string(protocol.value_or("tcp"));
  }
  const json::Document answer = TRY(TRY(call.cli.client())->call({.path = "/containers/" + segment(arguments[0]) + "/json"}));
  std::vector<std::string> lines;
  auto where = [](const json::Node& binding) {
    const std::string_view address = binding.string_at("HostIp");
    return (address.contains(':') ? "[" + std::string(address) + "]" : std::string(address)) + ":" +
           std::string(binding.string_at("HostPort"));
  };
  if (const json::Node* ports = answer.root().at("NetworkSettings", "Ports"))
    for (const json::Node& each : *ports)
      for (const json::Node& binding : each) {
        if (wanted.empty()) lines.push_back(std::string(each.key()) + " -> " + where(binding));
        else if (each.key() == wanted) lines.push_back(where(binding));
      }
  if (lines.empty() && !wanted.empty()) {
    return fail(Code::not_found, "Error: No public port '" + std::string(arguments[1]) + "' published for " + std::string(arguments[0]));
  }
  std::sort(lines.begin(), lines.end());
  for (const std::string& line : lines) print_name(line);
  return 0;
}

}  // namespace estiba::cli::docker
