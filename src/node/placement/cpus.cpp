#include "node/placement/cpus.h"

#include <algorithm>
#include <memory>

#include "base/strings.h"
#include "client/json_writer.h"
#include "model/quantity.h"
#include "node/resources.h"

namespace estiba::node {

using namespace model::core_v1;

namespace {

// Which spread, and what it is called.
constexpr std::pair<std::string_view, CpuSpread> spreads[] = {{"distribute-cpus-across-cores", CpuSpread::across_cores},
                                                              {"distribute-cpus-across-numa", CpuSpread::across_numa}};

std::unexpected<Error> misaligned(std::string message) {
  Error error{Code::exhausted, 0, "SMT Alignment Error: " + std::move(message), std::make_shared<ErrorDetails>()};
  error.details->reason = "SMTAlignmentError";
  return std::unexpected(std::move(error));
}

std::string_view policy_name(bool exclusive) { return exclusive ? "static" : "none"; }

}  // namespace

Result<Cpus> Cpus::make(const Topology& topology, CpuOptions options) {
  Cpus out(topology, std::move(options));
  CpuSet& reserved = out.options_.reserved;
  if (!out.options_.exclusive) return out;
  if (const CpuSet unknown = reserved - topology.all(); !unknown.empty())
    return fail(Code::invalid, "--reserved-cpus: this machine has no CPU " + unknown.text() + ", but " + topology.all().text());
  if (reserved.empty()) {
    const auto chosen = choose_cpus(topology, topology.all(), out.options_.reserved_count);
    if (!chosen || chosen->empty())
      return fail(
          Code::invalid,
          "--cpu-manager-policy=static needs CPUs that no container has for itself: name them by --reserved-cpus, or their number by "
          "cpu in --system-reserved or --kube-reserved, at most the machine's " +
              std::to_string(topology.cpus.size()));
    reserved = *chosen;
  }
  out.shared_ = out.all_shared();
  if (out.shared_.empty()) return fail(Code::invalid, "strict-cpu-reservation leaves no CPU to the pods: reserve fewer");
  return out;
}

std::optional<CpuSet> Cpus::given(const std::string& pod, const std::string& container) const {
  const auto of_pod = given_.find(pod);
  if (of_pod == given_.end()) return std::nullopt;
  const auto found = of_pod->second.find(container);
  return found == of_pod->second.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> Cpus::pods() const {
  std::vector<std::string> out;
  for (const auto& [pod, containers] : given_) out.push_back(pod);
  return out;
}

size_t Cpus::wanted(const Pod& pod, const Container& container) const {
  if (!options_.exclusive || pod.spec.resources || qos_class(pod) != "Guaranteed" || !container.resources) return 0;
  const auto& limits = container.resources->limits;
  const auto limit = limits.find("cpu");
  if (limit == limits.end()) return 0;
  const int64_t milli = model::quantity_to_milli(limit->second);
  return milli > 0 && milli % 1000 == 0 ? size_t(milli / 1000) : 0;
}

std::vector<Hint> Cpus::hints(size_t count, const CpuSet& reusable) const {
  const CpuSet there = free() | reusable;
  return hints_by_count(
      topology_.numa_nodes(), count, [&](const NumaNodes& nodes) { return (there & topology_.of_numa(nodes)).size(); },
      [&](const NumaNodes& nodes) { return topology_.of_numa(nodes).size(); });
}

// Cores with a reserved thread do not count: what is left of them is no whole core.
Result<void> Cpus::check_cores(size_t count) const {
  if (!options_.whole_cores) return {};
  const size_t each = topology_.threads_per_core();
  if (count % each) return misaligned("requested " + std::to_string(count) + " cpus not multiple cpus per core = " + std::to_string(each));
  CpuSet whole = shared_;
  for (const auto& [core, threads] : topology_.by(&Topology::Cpu::core))
    if (!(threads & options_.reserved).empty()) whole -= threads;
  if (count > whole.size())
    return misaligned("not enough free physical CPUs: available physical CPUs = " + std::to_string(whole.size()) +
                      ", requested CPUs = " + std::to_string(count) + ", CPUs per core = " + std::to_string(each));
  return {};
}

Result<CpuSet> Cpus::give(const std::string& pod, const std::string& container, size_t count, const std::optional<NumaNodes>& nodes,
                          const CpuSet& reusable) {
  if (auto known = given(pod, container)) return *known;
  TRY(check_cores(count));
  const CpuSet there = free() | reusable;
  if (there.size() < count)
    return fail(Code::exhausted, "not enough cpus available to satisfy request: requested=" + std::to_string(count) +
                                     ", available=" + std::to_string(there.size()));
  CpuSet out;
  if (nodes) {
    const CpuSet near = there & topology_.of_numa(*nodes);
    out = choose_cpus(topology_, near, std::min(count, near.size()), options_.spread, options_.whole_cores).value_or(CpuSet{});
  }
  out |= choose_cpus(topology_, there - out, count - out.size(), options_.spread, options_.whole_cores).value_or(CpuSet{});
  shared_ -= out;
  given_[pod][container] = out;
  return out;
}

bool Cpus::release(const std::string& pod) {
  const auto found = given_.find(pod);
  if (found == given_.end()) return false;
  for (const auto& [container, cpus] : found->second) shared_ |= cpus;
  given_.erase(found);
  return true;
}

void Cpus::save(client::JsonWriter& json) const {
  json.object().field("policy", policy_name(options_.exclusive)).field("shared", shared_.text()).object("given");
  for (const auto& [pod, containers] : given_) {
    json.object(pod);
    for (const auto& [container, cpus] : containers) json.field(container, cpus.text());
    json.end();
  }
  json.end().end();
}

Result<void> Cpus::load(const json::Node& saved) {
  if (const std::string_view before = saved.string_at("policy"); before != policy_name(options_.exclusive))
    return fail(Code::conflict,
                "--cpu-manager-policy was " + quoted(before) + " and is " + quoted(policy_name(options_.exclusive)) + " now");
  if (!options_.exclusive) return {};
  CpuSet shared = TRY_AS("shared", CpuSet::parse(saved.string_at("shared"))), known = shared;
  std::map<std::string, std::map<std::string, CpuSet>> given;
  if (const json::Node* pods = saved.find("given"))
    for (const json::Node& pod : *pods)
      for (const json::Node& container : pod) {
        const CpuSet cpus = TRY_AS("given", CpuSet::parse(container.as_string()));
        if (!(cpus & shared).empty())
          return fail(Code::conflict, "CPUs " + (cpus & shared).text() + " are shared, and those of container " +
                                          std::string(container.key()) + " of pod " + std::string(pod.key()));
        known |= cpus;
        given[std::string(pod.key())][std::string(container.key())] = cpus;
      }
  const CpuSet expected = all_shared();
  if (known != expected)
    return fail(Code::conflict, "the CPUs that pods may use were " + known.text() + " and are " + expected.text() + " now");
  if (!options_.strict_reservation && !shared.contains_all(options_.reserved))
    return fail(Code::conflict, "CPUs " + (options_.reserved - shared).text() + " are reserved now, and a container's");
  shared_ = std::move(shared);
  given_ = std::move(given);
  return {};
}

Result<void> read_cpu_policy_options(std::string_view text, CpuOptions& options) {
  if (text.empty()) return {};
  for (std::string_view part : split(text, ',')) {
    const auto [name, value] = split_once(part, '=');
    if (value != "true" && value != "false") return fail(Code::invalid, quoted(part) + " must be OPTION=true or OPTION=false");
    const bool on = value == "true";
    const auto spread = std::ranges::find(spreads, name, &std::pair<std::string_view, CpuSpread>::first);
    if (name == "full-pcpus-only") options.whole_cores = on;
    else if (name == "strict-cpu-reservation") options.strict_reservation = on;
    else if (spread == std::end(spreads))
      return fail(Code::invalid, quoted(name) +
                                     " is no option here: full-pcpus-only, strict-cpu-reservation, distribute-cpus-across-cores and "
                                     "distribute-cpus-across-numa are");
    else if (on && options.spread != CpuSpread::packed)
      return fail(Code::invalid, "distribute-cpus-across-cores and distribute-cpus-across-numa: one of them, not both");
    else if (on) options.spread = spread->second;
  }
  if (options.whole_cores && options.spread == CpuSpread::across_cores)
    return fail(Code::invalid, "full-pcpus-only and distribute-cpus-across-cores: one of them, not both");
  return {};
}

}  // namespace estiba::node
