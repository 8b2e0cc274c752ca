#include "node/placement/placement.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"
#include "client/json_writer.h"
#include "node/status.h"
#include "os/file.h"

namespace estiba::node {

using namespace model::core_v1;

namespace {

std::string checksum_of(std::string_view text) {
  const uint64_t hash = fnv1a64(text);
  return hex_encode({reinterpret_cast<const char*>(&hash), sizeof hash});
}

const char* const way_out = "drain this node and remove the file, or start it as before";

Error refused(std::string reason, Error error) {
  if (!error.details) error.details = std::make_shared<ErrorDetails>();
  if (error.details->reason.empty()) error.details->reason = std::move(reason);
  return error;
}

bool is_init(const Pod& pod, const Container& container) {
  return std::ranges::any_of(pod.spec.initContainers,
                             [&](const Container& init) { return init.name == container.name && !is_sidecar(init); });
}

}  // namespace

Placement::Placement(PlacementOptions options, std::string file, Topology topology, Cpus cpus, Memory memory)
    : options_(std::move(options)),
      file_(std::move(file)),
      topology_(std::move(topology)),
      cpus_(std::move(cpus)),
      memory_(std::move(memory)) {}

Result<std::unique_ptr<Placement>> Placement::open(PlacementOptions options, std::string file) {
  Topology topology = TRY(read_topology(options.sys));
  const bool combines = options.topology != TopologyPolicy::none || options.memory.pinned;
  if (combines && topology.numa.size() > options.max_numa_nodes)
    return fail(Code::unsupported,
                "this machine has " + std::to_string(topology.numa.size()) + " NUMA nodes, more than the " +
                    std::to_string(options.max_numa_nodes) +
                    " whose combinations are looked at; use --topology-manager-policy=none and --memory-manager-policy=None");
  Cpus cpus = TRY(Cpus::make(topology, options.cpus));
  Memory memory = TRY(Memory::make(topology, options.memory));
  std::unique_ptr<Placement> out(
      new Placement(std::move(options), std::move(file), std::move(topology), std::move(cpus), std::move(memory)));
  if (auto text = os::read_file(out->file_)) TRY_AS(out->file_, out->load(*text));
  else if (text.error().code != Code::not_found) return std::unexpected(std::move(text.error()));
  if (out->cpus_.exclusive() || out->memory_.pinned()) TRY(out->save());
  return out;
}

Result<void> Placement::load(const std::string& text) {
  auto document = json::Document::parse(text);
  const json::Node* state = document ? document->root().find("state") : nullptr;
  const json::Node *cpus = state ? state->find("cpus") : nullptr, *memory = state ? state->find("memory") : nullptr;
  if (!cpus || !memory || document->root().string_at("checksum") != checksum_of(json::print(*state)))
    return fail(Code::malformed, std::string("it is damaged (its checksum does not fit): ") + way_out);
  auto loaded = cpus_.load(*cpus);
  if (loaded) loaded = memory_.load(*memory);
  if (!loaded) return fail(loaded.error().code, loaded.error().message + ": " + way_out);
  return {};
}

Result<void> Placement::save() const {
  client::JsonWriter cpus, memory, state, whole;
  cpus_.save(cpus);
  memory_.save(memory);
  const std::string text = state.object().raw("cpus", cpus.take()).raw("memory", memory.take()).end().take();
  whole.object().raw("state", text).field("checksum", checksum_of(text)).end();
  return os::write_file_atomic(file_, whole.take(), 0600);
}

void Placement::changed() {
  if (on_change_) on_change_();
}

MemoryAmounts Placement::wanted(const Pod& pod, const Container& container) const {
  MemoryAmounts out = memory_.wanted(pod, container);
  if (const size_t count = cpus_.wanted(pod, container)) out["cpu"] = count;
  return out;
}

bool Placement::wanted_by(const Pod& pod) const {
  if (cpus_.has(pod.metadata.uid) || memory_.has(pod.metadata.uid)) return false;
  return !wanted_by_all(pod).empty();
}

// Containers and sidecars together, or the largest init container with the sidecars before it.
MemoryAmounts Placement::wanted_by_all(const Pod& pod) const {
  MemoryAmounts largest, out;
  for (const Container& init : pod.spec.initContainers)
    for (const auto& [kind, amount] : wanted(pod, init)) {
      if (is_sidecar(init)) out[kind] += amount;
      else largest[kind] = std::max(largest[kind], out[kind] + amount);
    }
  for (const Container& container : pod.spec.containers)
    for (const auto& [kind, amount] : wanted(pod, container)) out[kind] += amount;
  for (const auto& [kind, amount] : largest) out[kind] = std::max(out[kind], amount);
  return out;
}

Agreement Placement::agreement(const Pod& pod, const Container& container, const DeviceHints& devices, Underway& underway) const {
  if (options_.by_pod && underway.agreed) return *underway.agreed;
  const std::string& uid = pod.metadata.uid;
  const NumaNodes all = topology_.numa_nodes();
  Hints hints = devices(all, options_.by_pod);
  MemoryAmounts amounts = options_.by_pod ? wanted_by_all(pod) : wanted(pod, container);
  // What it has already says where it is.
  if (const auto has = cpus_.given(uid, container.name)) {
    NumaNodes nodes;
    for (const int cpu : *has) nodes.insert(topology_.cpus.at(cpu).numa);
    hints["cpu"] = std::vector<Hint>{{nodes, true}};
  } else if (const auto count = amounts.find("cpu"); count != amounts.end()) {
    hints["cpu"] = cpus_.hints(count->second, underway.reusable);
  }
  amounts.erase("cpu");
  if (memory_.given(uid, container.name)) hints["memory"] = std::vector<Hint>{{memory_.nodes_of(uid, container.name), true}};
  else if (!amounts.empty()) hints.merge(memory_.hints(uid, amounts));
  Agreement out = agree(options_.topology, all, hints);
  if (options_.by_pod) underway.agreed = out;
  return out;
}

Result<std::optional<NumaNodes>> Placement::place(const Pod& pod, const Container& container, const DeviceHints& devices) {
  Underway& underway = underway_[pod.metadata.uid];
  std::optional<NumaNodes> nodes;
  if (aligns()) {
    const Agreement agreed = agreement(pod, container, devices, underway);
    if (!agreed.admit)
      return std::unexpected(
          refused("TopologyAffinityError", {Code::exhausted, 0, "Resources cannot be allocated with Topology locality", nullptr}));
    nodes = agreed.hint.nodes;
  }
  if (auto given = give(pod, container, nodes, underway); !given) {
    Error error = std::move(given.error());
    if (!error.details)
      error.message = "Allocate failed due to " + error.message + ", which is unexpected (container " + quoted(container.name) + ")";
    return std::unexpected(refused("UnexpectedAdmissionError", std::move(error)));
  }
  return nodes;
}

Result<void> Placement::give(const Pod& pod, const Container& container, const std::optional<NumaNodes>& nodes, Underway& underway) {
  const std::string& uid = pod.metadata.uid;
  const bool init = is_init(pod, container);
  if (const size_t count = cpus_.wanted(pod, container)) {
    const CpuSet given = TRY(cpus_.give(uid, container.name, count, nodes, underway.reusable));
    if (init) underway.reusable |= given;
    else underway.reusable -= given;
  }
  if (const MemoryAmounts amounts = memory_.wanted(pod, container); !amounts.empty())
    TRY(memory_.give(uid, container.name, amounts, nodes, init));
  return {};
}

Result<void> Placement::keep(const std::string& pod) {
  underway_.erase(pod);
  if (!cpus_.has(pod) && !memory_.has(pod)) return {};
  if (auto saved = save(); !saved) {
    cpus_.release(pod);
    memory_.release(pod);
    return std::unexpected(
        refused("UnexpectedAdmissionError", std::move(saved.error()).context("write down which CPUs and memory the pod has")));
  }
  changed();
  return {};
}

void Placement::release(const std::string& pod) {
  underway_.erase(pod);
  const bool had_cpus = cpus_.release(pod), had_memory = memory_.release(pod);
  if (!had_cpus && !had_memory) return;
  if (auto saved = save(); !saved) log::warn("node", "which CPUs and memory pods have is not written down", {{"error", saved.error()}});
  changed();
}

void Placement::keep_only(const std::set<std::string>& pods) {
  for (const auto& all : {cpus_.pods(), memory_.pods()})
    for (const std::string& pod : all)
      if (!pods.contains(pod)) release(pod);
}

void Placement::limit(engine::Resources& resources, const std::string& pod, const std::string& container) const {
  if (memory_.pinned()) resources.cpuset_mems = memory_.nodes_of(pod, container).text();
  if (!cpus_.exclusive()) return;
  const auto own = cpus_.given(pod, container);
  resources.cpuset_cpus = own ? own->text() : cpus_.shared().text();
  if (own) resources.cpu_quota_us.reset();
  if (own) resources.cpu_period_us.reset();
}

void Placement::limit_pod(engine::Resources& resources, const std::string& pod) const {
  if (!cpus_.has(pod)) return;
  resources.cpu_quota_us.reset();
  resources.cpu_period_us.reset();
}

}  // namespace estiba::node
