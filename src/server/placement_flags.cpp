#include "server/placement_flags.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::server {

void PlacementFlags::declare(cli::Flags& flags) {
  flags.add("cpu-manager-policy", &cpu_policy,
            "none, or static: containers of Guaranteed pods that ask for whole CPUs have them for themselves");
  flags.add("cpu-manager-policy-options", &cpu_options,
            "OPTION=true[,…] of the policy static: full-pcpus-only, strict-cpu-reservation, distribute-cpus-across-cores, "
            "distribute-cpus-across-numa");
  flags.add("reserved-cpus", &reserved_cpus,
            "CPUs that no container has for itself, such as 0-1; as many as --system-reserved and --kube-reserved say when empty");
  flags.add("memory-manager-policy", &memory_policy,
            "None, or Static: containers of Guaranteed pods have their memory on as few NUMA nodes as can hold it");
  flags.add("reserved-memory", &reserved_memory,
            "NODE:KIND=QUANTITY[,…] of a NUMA node that no container has for itself, with memory as much as --system-reserved and "
            "--kube-reserved say; may be repeated");
  flags.add("topology-manager-policy", &topology_policy,
            "none, best-effort, restricted or single-numa-node: whether CPUs, memory and devices of a container must lie together");
  flags.add("topology-manager-scope", &topology_scope, "container, or pod: those of all its containers");
  flags.add("topology-manager-policy-options", &topology_options,
            "max-allowable-numa-nodes=N: of a machine that the topology manager works on, 8 when it is not said");
}

Result<node::PlacementOptions> PlacementFlags::read(const model::ResourceList& reserved) const {
  node::PlacementOptions out;
  if (cpu_policy != "none" && cpu_policy != "static")
    return fail(Code::invalid, "--cpu-manager-policy is none or static, not " + quoted(cpu_policy));
  out.cpus.exclusive = cpu_policy == "static";
  TRY_AS("--cpu-manager-policy-options", node::read_cpu_policy_options(cpu_options, out.cpus));
  if (!cpu_options.empty() && !out.cpus.exclusive)
    return fail(Code::invalid, "--cpu-manager-policy-options are of --cpu-manager-policy=static");
  out.cpus.reserved = TRY_AS("--reserved-cpus", node::CpuSet::parse(reserved_cpus));
  if (reserved.contains("cpu")) out.cpus.reserved_count = size_t(reserved.at("cpu").to_int64());
  if (memory_policy != "None" && memory_policy != "Static")
    return fail(Code::invalid, "--memory-manager-policy is None or Static, not " + quoted(memory_policy));
  out.memory.pinned = memory_policy == "Static";
  for (const std::string& each : reserved_memory)
    for (std::string_view text : split(each, ';')) TRY_AS("--reserved-memory", node::read_reserved_memory(text, out.memory.reserved));
  if (!reserved_memory.empty() && !out.memory.pinned) return fail(Code::invalid, "--reserved-memory is of --memory-manager-policy=Static");
  if (reserved.contains("memory")) out.memory.reserved_bytes = uint64_t(reserved.at("memory").to_int64());
  const auto policy =
      std::ranges::find(node::topology_policies, topology_policy, &std::pair<std::string_view, node::TopologyPolicy>::first);
  if (policy == std::end(node::topology_policies))
    return fail(Code::invalid,
                "--topology-manager-policy is none, best-effort, restricted or single-numa-node, not " + quoted(topology_policy));
  out.topology = policy->second;
  if (topology_scope != "container" && topology_scope != "pod")
    return fail(Code::invalid, "--topology-manager-scope is container or pod, not " + quoted(topology_scope));
  out.by_pod = topology_scope == "pod";
  if (topology_options.empty()) return out;
  const auto [name, value] = split_once(topology_options, '=');
  const auto most = value ? parse_number<size_t>(*value) : std::nullopt;
  if (name != "max-allowable-numa-nodes" || !most || *most < 1 || *most > 16)
    return fail(Code::invalid,
                "--topology-manager-policy-options is max-allowable-numa-nodes=N with 1 to 16, not " + quoted(topology_options));
  out.max_numa_nodes = *most;
  return out;
}

}  // namespace estiba::server
