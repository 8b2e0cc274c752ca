#include "scheduler/configuration_args.h"

#include <algorithm>

#include "base/go_duration.h"
#include "base/strings.h"
#include "client/node_selectors.h"
#include "model/check.h"
#include "model/names.h"
#include "model/types/kube_scheduler_v1.h"

namespace estiba::scheduler {

namespace v1 = model::kube_scheduler_v1;
using model::core_v1::NodeSelectorTerm;

static constexpr std::string_view group_version = "kubescheduler.config.k8s.io/v1";

void Faults::invalid(std::string_view field, std::string_view value, std::string_view what) {
  add(field, "Invalid value: " + std::string(value) + ": " + std::string(what));
}

void Faults::unsupported(std::string_view field, std::string_view value, std::string_view supported) {
  add(field, "Unsupported value: " + quoted(value) + ": supported values: " + std::string(supported));
}

std::string element(std::string_view list, size_t index) { return std::string(list) + "[" + std::to_string(index) + "]"; }

namespace {

void require_range(int64_t value, int64_t least, int64_t most, const std::string& field, Faults& faults) {
  if (value < least || value > most)
    faults.invalid(field, std::to_string(value), "not in valid range [" + std::to_string(least) + ", " + std::to_string(most) + "]");
}

void require_label_name(const std::string& value, const std::string& field, Faults& faults) {
  for (const std::string& problem : model::check_qualified_name(value)) faults.invalid(field, quoted(value), problem);
}

// --- one function a plugin: takes its arguments, as they are written, into `into` ------------------------------------------

std::vector<ResourceWeight> resources_of(const std::vector<v1::ResourceSpec>& list, const std::string& path, Faults& faults) {
  std::vector<ResourceWeight> out;
  for (size_t i = 0; i < list.size(); ++i) {
    const int64_t weight = list[i].weight.value_or(0) == 0 ? 1 : *list[i].weight;
    if (list[i].name.empty()) faults.add(element(path, i) + ".name", "Required value");
    if (weight < 1 || weight > 100)
      faults.invalid(element(path, i) + ".weight", std::to_string(weight),
                     "resource weight of " + list[i].name + " not in valid range (0, 100]");
    out.push_back({list[i].name, weight});
  }
  return out;
}

std::vector<FitArgs::Point> shape_of(const std::vector<v1::UtilizationShapePoint>& shape, const std::string& path, Faults& faults) {
  std::vector<FitArgs::Point> out;
  if (shape.empty()) faults.add(path, "Required value: at least one point must be specified");
  for (size_t i = 0; i < shape.size(); ++i) {
    const std::string here = element(path, i);
    if (i > 0 && shape[i - 1].utilization >= shape[i].utilization)
      faults.invalid(here + ".utilization", std::to_string(shape[i].utilization), "values must be sorted in increasing order");
    require_range(shape[i].utilization, 0, 100, here + ".utilization", faults);
    require_range(shape[i].score, 0, 10, here + ".score", faults);
    out.push_back({shape[i].utilization, shape[i].score * 10});
  }
  return out;
}

void take(const v1::NodeResourcesFitArgs& args, const std::string& path, PluginArgs& into, Faults& faults) {
  FitArgs& fit = into.fit;
  fit.ignored = args.ignoredResources;
  fit.ignored_groups = args.ignoredResourceGroups;
  for (size_t i = 0; i < fit.ignored.size(); ++i) require_label_name(fit.ignored[i], element(path + ".ignoredResources", i), faults);
  for (size_t i = 0; i < fit.ignored_groups.size(); ++i) {
    const std::string here = element(path + ".ignoredResourceGroups", i);
    if (fit.ignored_groups[i].contains('/')) faults.invalid(here, quoted(fit.ignored_groups[i]), "resource group name can't contain '/'");
    require_label_name(fit.ignored_groups[i], here, faults);
  }
  if (!args.scoringStrategy) return;
  const v1::ScoringStrategy& given = *args.scoringStrategy;
  const std::string here = path + ".scoringStrategy";
  using enum FitArgs::Strategy;
  if (given.type == "MostAllocated") fit.strategy = most_allocated;
  else if (given.type == "RequestedToCapacityRatio") fit.strategy = requested_to_capacity;
  else if (given.type != "LeastAllocated" && !given.type.empty())
    faults.unsupported(here + ".type", given.type, "\"LeastAllocated\", \"MostAllocated\", \"RequestedToCapacityRatio\"");
  if (!given.resources.empty()) fit.resources = resources_of(given.resources, here + ".resources", faults);
  const bool by_ratio = fit.strategy == requested_to_capacity;
  if (by_ratio && !given.requestedToCapacityRatio)
    faults.add(here + ".requestedToCapacityRatio", "Required value: must be specified when type is RequestedToCapacityRatio");
  else if (by_ratio) fit.shape = shape_of(given.requestedToCapacityRatio->shape, here + ".requestedToCapacityRatio.shape", faults);
  else if (given.requestedToCapacityRatio)
    faults.add(here + ".requestedToCapacityRatio", "Forbidden: must be nil when type is not RequestedToCapacityRatio");
}

void take(const v1::NodeResourcesBalancedAllocationArgs& args, const std::string& path, PluginArgs& into, Faults& faults) {
  if (args.resources.empty()) return;
  into.balanced.clear();
  for (size_t i = 0; i < args.resources.size(); ++i) {
    const v1::ResourceSpec& one = args.resources[i];
    const std::string here = element(path + ".resources", i);
    if (one.name.empty()) faults.add(here + ".name", "Required value");
    if (std::ranges::contains(into.balanced, one.name)) faults.add(here + ".name", "Duplicate value: " + quoted(one.name));
    if (one.weight.value_or(0) > 1 || one.weight.value_or(0) < 0)
      faults.invalid(here + ".weight", std::to_string(*one.weight), "must be 1");
    into.balanced.push_back(one.name);
  }
}

// Stricter than Kubernetes, which overlooks matchLabelKeys, and values of the others that it refuses in pods.
void check_default_constraint(const model::core_v1::TopologySpreadConstraint& one, const std::string& here, Faults& faults) {
  if (one.maxSkew <= 0) faults.invalid(here + ".maxSkew", std::to_string(one.maxSkew), "not in valid range (0, inf)");
  if (one.topologyKey.empty()) faults.add(here + ".topologyKey", "Required value: can not be empty");
  else require_label_name(one.topologyKey, here + ".topologyKey", faults);
  if (one.whenUnsatisfiable.empty()) faults.add(here + ".whenUnsatisfiable", "Required value: can not be empty");
  else if (one.whenUnsatisfiable != "DoNotSchedule" && one.whenUnsatisfiable != "ScheduleAnyway")
    faults.unsupported(here + ".whenUnsatisfiable", one.whenUnsatisfiable, "\"DoNotSchedule\", \"ScheduleAnyway\"");
  if (one.labelSelector)
    faults.add(here + ".labelSelector", "Forbidden: constraint must not define a selector, as they deduced for each pod");
  if (!one.matchLabelKeys.empty())
    faults.add(here + ".matchLabelKeys", "Forbidden: the pods that count are those of the pod's workload, whatever their labels");
  if (one.minDomains && *one.minDomains <= 0)
    faults.invalid(here + ".minDomains", std::to_string(*one.minDomains), "must be greater than 0");
  else if (one.minDomains && one.whenUnsatisfiable == "ScheduleAnyway")
    faults.invalid(here + ".minDomains", std::to_string(*one.minDomains), "can only use minDomains if whenUnsatisfiable=DoNotSchedule");
  const auto require_policy = [&](const std::string& policy, const char* field) {
    if (!policy.empty() && policy != "Honor" && policy != "Ignore") faults.unsupported(here + field, policy, "\"Honor\", \"Ignore\"");
  };
  require_policy(one.nodeAffinityPolicy, ".nodeAffinityPolicy");
  require_policy(one.nodeTaintsPolicy, ".nodeTaintsPolicy");
}

void take(const v1::PodTopologySpreadArgs& args, const std::string& path, PluginArgs& into, Faults& faults) {
  const std::string list = path + ".defaultConstraints";
  if (!args.defaultingType.empty() && args.defaultingType != "System" && args.defaultingType != "List")
    faults.unsupported(path + ".defaultingType", args.defaultingType, "\"List\", \"System\"");
  into.spread.system = args.defaultingType != "List";
  if (into.spread.system && !args.defaultConstraints.empty())
    faults.invalid(path + ".defaultingType", quoted("System"), "when .defaultConstraints are not empty; say List");
  into.spread.defaults = args.defaultConstraints;
  for (size_t i = 0; i < args.defaultConstraints.size(); ++i) {
    const auto& one = args.defaultConstraints[i];
    const std::string here = element(list, i);
    check_default_constraint(one, here, faults);
    for (size_t before = 0; before < i; ++before)
      if (args.defaultConstraints[before].topologyKey == one.topologyKey &&
          args.defaultConstraints[before].whenUnsatisfiable == one.whenUnsatisfiable)
        faults.add(here, "Duplicate value: \"{" + one.topologyKey + ", " + one.whenUnsatisfiable + "}\"");
  }
}

void take(const v1::InterPodAffinityArgs& args, const std::string& path, PluginArgs& into, Faults& faults) {
  into.pod_affinity = {.hard_weight = args.hardPodAffinityWeight.value_or(1),
                       .ignores_preferences = args.ignorePreferredTermsOfExistingPods.value_or(false)};
  require_range(into.pod_affinity.hard_weight, 0, 100, path + ".hardPodAffinityWeight", faults);
}

void check_requirement(const model::core_v1::NodeSelectorRequirement& one, const std::string& here, Faults& faults) {
  const bool exists = one.operator_ == "Exists" || one.operator_ == "DoesNotExist";
  const bool compares = one.operator_ == "Gt" || one.operator_ == "Lt";
  require_label_name(one.key, here + ".key", faults);
  if (!exists && !compares && one.operator_ != "In" && one.operator_ != "NotIn")
    return faults.unsupported(here + ".operator", one.operator_, "\"DoesNotExist\", \"Exists\", \"Gt\", \"In\", \"Lt\", \"NotIn\"");
  if (exists && !one.values.empty())
    faults.add(here + ".values", "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
  else if (compares && one.values.size() != 1)
    faults.add(here + ".values", "Required value: must be specified single value when `operator` is 'Lt' or 'Gt'");
  else if (compares && !parse_number<int64_t>(one.values[0]))
    faults.invalid(here + ".values[0]", quoted(one.values[0]), "for 'Gt', 'Lt' operators, the value must be an integer");
  else if (!exists && one.values.empty())
    faults.add(here + ".values", "Required value: must be specified when `operator` is 'In' or 'NotIn'");
  for (size_t i = 0; i < one.values.size() && !compares; ++i)
    for (const std::string& problem : model::check_label_value(one.values[i]))
      faults.invalid(element(here + ".values", i), quoted(one.values[i]), problem);
}

void check_term(const NodeSelectorTerm& term, const std::string& path, Faults& faults) {
  for (size_t i = 0; i < term.matchExpressions.size(); ++i)
    check_requirement(term.matchExpressions[i], element(path + ".matchExpressions", i), faults);
  for (size_t i = 0; i < term.matchFields.size(); ++i) {
    const auto& one = term.matchFields[i];
    const std::string here = element(path + ".matchFields", i);
    if (one.key != "metadata.name") faults.unsupported(here + ".key", one.key, "\"metadata.name\"");
    if (one.operator_ != "In" && one.operator_ != "NotIn") faults.unsupported(here + ".operator", one.operator_, "\"In\", \"NotIn\"");
    if (one.values.size() != 1) faults.add(here + ".values", "Required value: must be only one value when `operator` is 'In' or 'NotIn'");
  }
}

void take(const v1::NodeAffinityArgs& args, const std::string& path, PluginArgs& into, Faults& faults) {
  if (!args.addedAffinity) return;
  into.added_affinity = *args.addedAffinity;
  const std::string here = path + ".addedAffinity.";
  if (const auto& required = into.added_affinity->requiredDuringSchedulingIgnoredDuringExecution) {
    const std::string terms = here + "requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    if (required->nodeSelectorTerms.empty()) faults.add(terms, "Required value: must have at least one node selector term");
    for (size_t i = 0; i < required->nodeSelectorTerms.size(); ++i) check_term(required->nodeSelectorTerms[i], element(terms, i), faults);
  }
  const auto& preferred = into.added_affinity->preferredDuringSchedulingIgnoredDuringExecution;
  for (size_t i = 0; i < preferred.size(); ++i) {
    const std::string term = element(here + "preferredDuringSchedulingIgnoredDuringExecution", i);
    if (preferred[i].weight < 1 || preferred[i].weight > 100)
      faults.invalid(term + ".weight", std::to_string(preferred[i].weight), "must be in the range 1-100");
    check_term(preferred[i].preference, term + ".preference", faults);
  }
}

void take(const v1::DefaultPreemptionArgs& args, const std::string& path, PluginArgs& into, Faults& faults) {
  into.preemption = {.least_percent = args.minCandidateNodesPercentage.value_or(10), .least = args.minCandidateNodesAbsolute.value_or(100)};
  require_range(into.preemption.least_percent, 0, 100, path + ".minCandidateNodesPercentage", faults);
  if (into.preemption.least < 0)
    faults.invalid(path + ".minCandidateNodesAbsolute", std::to_string(into.preemption.least), "not in valid range [0, inf)");
  if (into.preemption.least_percent == 0 && into.preemption.least == 0)
    faults.invalid(path + ".minCandidateNodesPercentage", "0", "cannot be zero at the same time as minCandidateNodesAbsolute");
}

void take(const v1::VolumeBindingArgs& args, const std::string& path, PluginArgs& into, Faults& faults) {
  constexpr int64_t most = 365 * 24 * 3600;  // beyond which a wait has no end
  const int64_t seconds = args.bindTimeoutSeconds.value_or(600);
  if (seconds < 0) faults.invalid(path + ".bindTimeoutSeconds", std::to_string(seconds), "should not be a negative value");
  into.volume_wait = std::chrono::seconds(std::clamp<int64_t>(seconds, 0, most));
}

void take(const v1::DynamicResourcesArgs& args, const std::string& path, PluginArgs& into, Faults& faults) {
  const auto read = [&](const std::string& text, std::string_view field, Duration least) -> std::optional<Duration> {
    if (text.empty()) return std::nullopt;
    const auto parsed = parse_go_duration(text);
    if (!parsed) faults.invalid(path + "." + std::string(field), quoted(text), parsed.error().message);
    else if (*parsed < least)
      faults.invalid(path + "." + std::string(field), quoted(text),
                     least > Duration() ? "must be at least 1 second" : "must be zero or positive");
    return parsed ? std::optional(*parsed) : std::nullopt;
  };
  read(args.filterTimeout, "filterTimeout", {});  // the search is bounded by its steps
  if (const auto wait = read(args.bindingTimeout, "bindingTimeout", std::chrono::seconds(1))) into.device_wait = *wait;
}

// --------------------------------------------------------------------------------------------------------------------------

template <class T>
void read(std::string_view kind, std::string_view text, const std::string& path, PluginArgs& into, Faults& faults) {
  auto doc = json::Document::parse(text);
  if (!doc || !doc->root().is_object()) return faults.add(path, "Invalid value: has to be an object of kind " + std::string(kind));
  const std::string_view version = doc->root().string_at("apiVersion"), named = doc->root().string_at("kind");
  if ((!version.empty() && version != group_version) || (!named.empty() && named != kind))
    return faults.add(path, "Invalid value: has to be " + std::string(kind) + " of " + std::string(group_version) + ", not " +
                                std::string(named) + " of " + std::string(version));
  auto unknown = model::conform(*doc, doc->root(), *T::layout_.type);
  if (!unknown) return faults.add(path, "Invalid value: " + unknown.error().message);
  for (const std::string& field : *unknown) faults.add(path + "." + field, "unknown field");
  auto args = model::decode<T>(doc->root());
  if (!args) return faults.add(path, "Invalid value: " + args.error().message);
  take(*args, path, into, faults);
}

struct Row {
  std::string_view plugin, kind;
  void (*read)(std::string_view kind, std::string_view text, const std::string& path, PluginArgs& into, Faults& faults);
};
constexpr Row rows[] = {
    {"DefaultPreemption", "DefaultPreemptionArgs", read<v1::DefaultPreemptionArgs>},
    {"DynamicResources", "DynamicResourcesArgs", read<v1::DynamicResourcesArgs>},
    {"InterPodAffinity", "InterPodAffinityArgs", read<v1::InterPodAffinityArgs>},
    {"NodeAffinity", "NodeAffinityArgs", read<v1::NodeAffinityArgs>},
    {"NodeResourcesBalancedAllocation", "NodeResourcesBalancedAllocationArgs", read<v1::NodeResourcesBalancedAllocationArgs>},
    {"NodeResourcesFit", "NodeResourcesFitArgs", read<v1::NodeResourcesFitArgs>},
    {"PodTopologySpread", "PodTopologySpreadArgs", read<v1::PodTopologySpreadArgs>},
    {"VolumeBinding", "VolumeBindingArgs", read<v1::VolumeBindingArgs>},
};

}  // namespace

void read_plugin_args(std::string_view plugin, std::string_view args, const std::string& path, PluginArgs& into, Faults& faults) {
  const auto row = std::ranges::find(rows, plugin, &Row::plugin);
  if (row == std::end(rows)) {
    std::string names;
    for (const Row& each : rows) names += (names.empty() ? "" : ", ") + quoted(each.plugin);
    return faults.unsupported(path + ".name", plugin, names);
  }
  if (!args.empty() && args != "null") row->read(row->kind, args, path + ".args", into, faults);
}

}  // namespace estiba::scheduler
