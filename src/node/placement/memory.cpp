#include "node/placement/memory.h"

#include <algorithm>

#include "base/strings.h"
#include "client/json_writer.h"
#include "model/quantity.h"
#include "node/machine.h"
#include "node/resources.h"

namespace estiba::node {

using namespace model::core_v1;

namespace {

std::string_view policy_name(bool pinned) { return pinned ? "Static" : "None"; }

bool is_memory(std::string_view kind) { return kind == "memory" || kind.starts_with("hugepages-"); }

void save_amounts(client::JsonWriter& json, const MemoryAmounts& amounts) {
  json.object();
  for (const auto& [kind, bytes] : amounts) json.field(kind, bytes);
  json.end();
}

std::string whole_text(const std::map<int, MemoryAmounts>& whole) {
  client::JsonWriter json;
  json.object();
  for (const auto& [node, amounts] : whole) {
    client::JsonWriter inner;
    save_amounts(inner, amounts);
    json.raw(std::to_string(node), inner.take());
  }
  return json.end().take();
}

}  // namespace

NumaNodes Memory::Block::nodes() const {
  NumaNodes out;
  for (const auto& [node, amount] : bytes) out.insert(node);
  return out;
}

uint64_t Memory::Block::sum() const {
  uint64_t out = 0;
  for (const auto& [node, amount] : bytes) out += amount;
  return out;
}

Result<Memory> Memory::make(const Topology& topology, MemoryOptions options) {
  Memory out(topology, std::move(options));
  if (!out.options_.pinned) return out;
  for (const auto& [number, node] : topology.numa) {
    MemoryAmounts& whole = out.whole_[number];
    whole["memory"] = node.memory_bytes;
    for (const auto& [size, count] : node.huge_pages) {
      whole[huge_page_resource(size)] = size * count;
      whole["memory"] -= std::min(whole["memory"], size * count);
    }
  }
  uint64_t sum = 0;
  for (const auto& [number, amounts] : out.options_.reserved) {
    const auto whole = out.whole_.find(number);
    if (whole == out.whole_.end()) return fail(Code::invalid, "--reserved-memory: this machine has no NUMA node " + std::to_string(number));
    for (const auto& [kind, bytes] : amounts) {
      const auto there = whole->second.find(kind);
      if (there == whole->second.end() || there->second < bytes)
        return fail(Code::invalid, "--reserved-memory: NUMA node " + std::to_string(number) + " has less " + kind + " than that");
      there->second -= bytes;
      if (kind == "memory") sum += bytes;
    }
  }
  if (sum != out.options_.reserved_bytes)
    return fail(Code::invalid, "--reserved-memory comes to " + std::to_string(sum) +
                                   " bytes, but --system-reserved and --kube-reserved to " + std::to_string(out.options_.reserved_bytes) +
                                   ": they must be the same");
  return out;
}

const Memory::Blocks* Memory::given(const std::string& pod, const std::string& container) const {
  const auto of_pod = given_.find(pod);
  if (of_pod == given_.end()) return nullptr;
  const auto found = of_pod->second.find(container);
  return found == of_pod->second.end() ? nullptr : &found->second;
}

NumaNodes Memory::nodes_of(const std::string& pod, const std::string& container) const {
  NumaNodes out;
  if (const Blocks* blocks = given(pod, container))
    for (const auto& [kind, block] : *blocks) out |= block.nodes();
  return out;
}

std::vector<std::string> Memory::pods() const {
  std::vector<std::string> out;
  for (const auto& [pod, containers] : given_) out.push_back(pod);
  return out;
}

MemoryAmounts Memory::wanted(const Pod& pod, const Container& container) const {
  MemoryAmounts out;
  if (!options_.pinned || pod.spec.resources || qos_class(pod) != "Guaranteed" || !container.resources) return out;
  for (const auto& [name, amount] : container.resources->limits)
    if (const int64_t bytes = is_memory(name) ? model::quantity_to_int64(amount) : 0; bytes > 0) out[name] = uint64_t(bytes);
  return out;
}

uint64_t Memory::free_on(const NumaNodes& nodes, const std::string& kind, const std::string& reusing_pod) const {
  uint64_t out = 0, used = 0;
  for (const int node : nodes)
    if (const auto amounts = whole_.find(node); amounts != whole_.end())
      if (const auto found = amounts->second.find(kind); found != amounts->second.end()) out += found->second;
  for (const auto& [pod, containers] : given_) {
    const auto init = pod == reusing_pod ? init_containers_.find(pod) : init_containers_.end();
    for (const auto& [container, blocks] : containers) {
      const auto block = blocks.find(kind);
      if (block == blocks.end()) continue;
      if (init != init_containers_.end() && init->second.contains(container) && block->second.nodes() == nodes) continue;
      for (const auto& [node, bytes] : block->second.bytes)
        if (nodes.contains(node)) used += bytes;
    }
  }
  return out - std::min(out, used);
}

bool Memory::in_a_group(const NumaNodes& nodes) const {
  for (const auto& [pod, containers] : given_)
    for (const auto& [container, blocks] : containers)
      for (const auto& [kind, block] : blocks)
        if (const NumaNodes group = block.nodes(); group != nodes && !(group & nodes).empty()) return false;
  return true;
}

std::vector<Hint> Memory::places(const std::string& pod, const MemoryAmounts& wanted) const {
  const auto holds = [&](const auto& amount) {
    return std::ranges::all_of(wanted, [&](const auto& entry) { return amount(entry.first) >= entry.second; });
  };
  return hints_by_count(
      nodes_, 1,
      [&](const NumaNodes& nodes) {
        return size_t(in_a_group(nodes) && holds([&](const std::string& kind) { return free_on(nodes, kind, pod); }));
      },
      [&](const NumaNodes& nodes) {
        return size_t(holds([&](const std::string& kind) {
          uint64_t sum = 0;
          for (const int node : nodes)
            if (const auto found = whole_.at(node).find(kind); found != whole_.at(node).end()) sum += found->second;
          return sum;
        }));
      });
}

Hints Memory::hints(const std::string& pod, const MemoryAmounts& wanted) const {
  Hints out;
  for (const auto& [kind, bytes] : wanted) out[kind] = places(pod, wanted);
  return out;
}

// What ended init containers of the pod have there becomes free as far as it is asked for.
void Memory::take_over(const std::string& pod, const std::string& kind, const NumaNodes& nodes, uint64_t bytes) {
  for (const std::string& init : init_containers_[pod]) {
    Blocks& blocks = given_[pod][init];
    const auto block = blocks.find(kind);
    if (block == blocks.end() || block->second.nodes() != nodes) continue;
    for (auto& [node, amount] : block->second.bytes) {
      const uint64_t taken = std::min(amount, bytes);
      amount -= taken;
      bytes -= taken;
    }
  }
}

Result<void> Memory::give(const std::string& pod, const std::string& container, const MemoryAmounts& wanted,
                          const std::optional<NumaNodes>& nodes, bool init) {
  if (given(pod, container)) return {};
  std::vector<Hint> all = places(pod, wanted);
  if (nodes) std::erase_if(all, [&](const Hint& hint) { return !hint.nodes->contains_all(*nodes); });
  const auto best = std::ranges::find(all, true, &Hint::preferred);
  const auto chosen = best == all.end() ? all.begin() : best;
  if (chosen == all.end())
    return fail(Code::exhausted, "[memorymanager] no NUMA nodes have " + (nodes ? "together with " + nodes->text() + " " : std::string()) +
                                     "the memory that is asked for");
  for (const auto& [kind, bytes] : wanted) {
    take_over(pod, kind, *chosen->nodes, bytes);
    Block block;
    uint64_t missing = bytes;
    for (const int node : *chosen->nodes) {
      const uint64_t part = std::min(missing, free_on({node}, kind, ""));
      block.bytes[node] = part;
      missing -= part;
    }
    given_[pod][container][kind] = std::move(block);
  }
  if (init) init_containers_[pod].insert(container);
  return {};
}

bool Memory::release(const std::string& pod) {
  init_containers_.erase(pod);
  return given_.erase(pod) > 0;
}

void Memory::save(client::JsonWriter& json) const {
  json.object().field("policy", policy_name(options_.pinned)).raw("whole", whole_text(whole_)).object("given");
  for (const auto& [pod, containers] : given_) {
    json.object(pod);
    for (const auto& [container, blocks] : containers) {
      json.object(container);
      for (const auto& [kind, block] : blocks) {
        json.object(kind);
        for (const auto& [node, bytes] : block.bytes) json.field(std::to_string(node), bytes);
        json.end();
      }
      json.end();
    }
    json.end();
  }
  json.end().end();
}

Result<void> Memory::load(const json::Node& saved) {
  if (const std::string_view before = saved.string_at("policy"); before != policy_name(options_.pinned))
    return fail(Code::conflict,
                "--memory-manager-policy was " + quoted(before) + " and is " + quoted(policy_name(options_.pinned)) + " now");
  if (!options_.pinned) return {};
  const json::Node* whole = saved.find("whole");
  if (!whole || json::print(*whole) != whole_text(whole_))
    return fail(Code::conflict,
                "the memory that pods may use was " + (whole ? json::print(*whole) : "unknown") + " and is " + whole_text(whole_) + " now");
  if (const json::Node* pods = saved.find("given"))
    for (const json::Node& pod : *pods)
      for (const json::Node& container : pod)
        for (const json::Node& kind : container)
          for (const json::Node& bytes : kind)
            if (const auto node = parse_number<int>(bytes.key()))
              given_[std::string(pod.key())][std::string(container.key())][std::string(kind.key())].bytes[*node] =
                  uint64_t(bytes.as_int().value_or(0));
  return {};
}

Result<void> read_reserved_memory(std::string_view text, std::map<int, MemoryAmounts>& reserved) {
  const auto [number, list] = split_once(text, ':');
  const auto node = parse_number<int>(number);
  const auto wrong = [&] { return fail(Code::invalid, quoted(text) + " must be NODE:KIND=QUANTITY[,…], such as 0:memory=1Gi"); };
  if (!node || *node < 0 || !list) return wrong();
  for (std::string_view part : split(*list, ',')) {
    const auto [kind, value] = split_once(part, '=');
    const auto quantity = value ? model::Quantity::parse(*value) : Result<model::Quantity>(fail(Code::invalid, ""));
    if (!is_memory(kind) || !quantity || quantity->is_negative()) return wrong();
    if (!reserved[*node].emplace(kind, uint64_t(quantity->to_int64())).second)
      return fail(Code::invalid, quoted(text) + ": " + std::string(kind) + " of node " + std::to_string(*node) + " is there twice");
  }
  return {};
}

}  // namespace estiba::node
