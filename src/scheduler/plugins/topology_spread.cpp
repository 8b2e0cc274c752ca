// Topology spread constraints: no domain may have many more of the pods than the emptiest one (Kubernetes' PodTopologySpread).
#include <climits>
#include <cmath>

#include "client/node_selectors.h"
#include "client/selectors.h"
#include "client/tolerations.h"
#include "scheduler/plugins/plugins.h"
#include "scheduler/workload_selector.h"

namespace estiba::scheduler {

namespace {

using model::core_v1::TopologySpreadConstraint;

constexpr std::string_view hostname = "kubernetes.io/hostname", anyway = "ScheduleAnyway";

struct Constraint {
  int32_t max_skew = 1, min_domains = 1;
  std::string key;
  TermPtr term;
  bool is_one = false;  ///< the pod itself would be counted
  bool honors_affinity = true, honors_taints = false;
};

Constraint constraint_of(const Demand& pod, int32_t max_skew, std::string key, model::LabelSelector selector) {
  const model::Meta& meta = pod.pod.meta();
  const bool is_one = selector.matches(meta.labels);
  // A selector that is there but empty counts nobody, in Kubernetes too.
  if (selector.empty()) selector = model::LabelSelector::nothing();
  return {.max_skew = max_skew, .key = key, .term = term_for(meta.ns, std::move(selector), key), .is_one = is_one};
}

// The API server has put the pod's values of matchLabelKeys into the selector. Pods of before it did have the keys alone.
model::LabelSelector selector_with_keys(const TopologySpreadConstraint& from, const model::Labels& labels) {
  if (from.matchLabelKeys.empty() || !from.labelSelector) return selector_of(from.labelSelector);
  auto whole = from.labelSelector;
  for (const std::string& key : from.matchLabelKeys) {
    const bool named = std::ranges::any_of(whole->matchExpressions, [&](const auto& each) { return each.key == key; });
    if (const std::string* value = client::find_label(labels, key); value && !named)
      whole->matchExpressions.push_back({.key = key, .operator_ = "In", .values = {*value}});
  }
  return selector_of(whole);
}

Constraint constraint_as(const Demand& pod, const TopologySpreadConstraint& from, model::LabelSelector selector) {
  Constraint made = constraint_of(pod, from.maxSkew, from.topologyKey, std::move(selector));
  made.min_domains = from.minDomains.value_or(1);
  made.honors_affinity = from.nodeAffinityPolicy != "Ignore";
  made.honors_taints = from.nodeTaintsPolicy == "Honor";
  return made;
}

std::vector<Constraint> constraints_of(const Demand& pod, std::string_view when) {
  std::vector<Constraint> out;
  for (const TopologySpreadConstraint& from : pod.typed().spec.topologySpreadConstraints)
    if (from.whenUnsatisfiable == when) out.push_back(constraint_as(pod, from, selector_with_keys(from, pod.pod.meta().labels)));
  return out;
}

// For pods without constraints: of Kubernetes, that pods of one workload spread over hosts and over zones, or as the profile says.
std::vector<Constraint> default_constraints(const Cluster& cluster, const Demand& pod, const SpreadArgs& args, std::string_view when) {
  const auto counts = [&](const TopologySpreadConstraint& each) { return each.whenUnsatisfiable == when; };
  if (args.system ? when != anyway : std::ranges::none_of(args.defaults, counts)) return {};
  const model::LabelSelector selector = workload_selector(cluster.listers, pod);
  if (selector.empty()) return {};
  if (args.system)
    return {constraint_of(pod, 3, std::string(hostname), selector), constraint_of(pod, 5, "topology.kubernetes.io/zone", selector)};
  std::vector<Constraint> out;
  for (const TopologySpreadConstraint& from : args.defaults)
    if (counts(from)) out.push_back(constraint_as(pod, from, selector));
  return out;
}

bool has_own(const Demand& pod) { return !pod.typed().spec.topologySpreadConstraints.empty(); }

bool tolerates_all(const model::core_v1::Pod& pod, const NodeState& node) {
  for (const auto& taint : node.typed().spec.taints)
    if ((taint.effect == "NoSchedule" || taint.effect == "NoExecute") && !client::tolerates(pod.spec.tolerations, taint)) return false;
  return true;
}

std::string text_of(const std::vector<model::core_v1::NodeSelectorRequirement>& requirements) {
  std::string out;
  for (const auto& requirement : requirements) {
    out += requirement.key + "\t" + requirement.operator_;
    for (const std::string& value : requirement.values) out += "\t" + value;
    out += ";";
  }
  return out;
}

/// All of the pod's spec that chooses nodes.
std::string affinity_text(const model::core_v1::PodSpec& spec) {
  std::string out;
  for (const auto& [key, value] : spec.nodeSelector) out += key + "=" + value + ";";
  if (!spec.affinity || !spec.affinity->nodeAffinity || !spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution)
    return out;
  for (const auto& term : spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution->nodeSelectorTerms)
    out += "|" + text_of(term.matchExpressions) + "&" + text_of(term.matchFields);
  return out;
}

std::string tolerations_text(const model::core_v1::PodSpec& spec) {
  std::string out;
  for (const auto& t : spec.tolerations) out += t.key + "\t" + t.operator_ + "\t" + t.value + "\t" + t.effect + ";";
  return out;
}

/// Nodes count that have all topologies (unless `any_topology`) and that the pod could go to, as far as the constraint looks at that.
NodeRule rule_for(Tallies& tallies, const Demand& pod, const Constraint& constraint, const std::vector<Constraint>& all,
                  bool any_topology) {
  NodeRule rule;
  std::vector<size_t> topologies;
  if (!any_topology) {
    for (const Constraint& other : all) {
      topologies.push_back(tallies.topology(other.key));
      rule.text += other.key + ",";
    }
  }
  const auto& spec = pod.typed().spec;
  if (constraint.honors_affinity) rule.text += "\naffinity " + affinity_text(spec);
  if (constraint.honors_taints) rule.text += "\ntaints " + tolerations_text(spec);
  rule.allows = [object = pod.pod, topologies = std::move(topologies), affinity = constraint.honors_affinity,
                 taints = constraint.honors_taints](const NodeState& node) {
    for (const size_t topology : topologies)
      if (node.domains[topology] < 0) return false;
    const auto& typed = object.as<model::core_v1::Pod>();
    return (!affinity || client::selects(typed.spec, node.node.meta())) && (!taints || tolerates_all(typed, node));
  };
  return rule;
}

/// A constraint with the counts it compares, and changes that are only tried out.
class Spread {
 public:
  Spread(Constraint constraint, const Tally& tally) : constraint_(std::move(constraint)), tally_(&tally) {}

  bool has_label(const NodeState& node) const { return node.domains[tally_->topology] >= 0; }
  bool allows(const NodeState& node) const {
    const int32_t domain = node.domains[tally_->topology];
    return int64_t(at(domain)) + constraint_.is_one - least() <= constraint_.max_skew;
  }
  void change(const model::Meta& other, const NodeState& node, int by, const NamespaceLabels& namespaces) {
    if (!other.deletion_timestamp.empty() || !tally_->counts_node[size_t(node.number)] || !constraint_.term->matches(other, namespaces))
      return;
    if (changes_.empty()) domains_with_ = tally_->domains_with;
    const int32_t domain = node.domains[tally_->topology];
    const int32_t before = at(domain);
    if (--domains_with_[before] == 0) domains_with_.erase(before);
    ++domains_with_[before + by];
    changes_.emplace_back(domain, by);
  }

 private:
  int32_t at(int32_t domain) const {
    int32_t count = tally_->pods.at(domain);
    for (const auto& [key, by] : changes_) count += key == domain ? by : 0;
    return count;
  }
  int64_t least() const {
    if (tally_->domains < constraint_.min_domains) return 0;
    const auto& with = changes_.empty() ? tally_->domains_with : domains_with_;
    return with.empty() ? INT_MAX : with.begin()->first;
  }

  Constraint constraint_;
  const Tally* tally_;
  std::vector<std::pair<int32_t, int32_t>> changes_;
  std::map<int32_t, int32_t> domains_with_;  // with the changes
};

class SpreadState : public PluginState {
 public:
  SpreadState(const Cluster& cluster, const Demand& pod, std::vector<Constraint> constraints) : namespaces_(cluster) {
    Tallies& tallies = cluster.tallies();
    for (const Constraint& constraint : constraints)
      spreads_.emplace_back(constraint,
                            tallies.compare(constraint.term, constraint.key, rule_for(tallies, pod, constraint, constraints, false)));
  }

  Verdict check(const NodeState& node, Reasons* why) const {
    for (const Spread& spread : spreads_) {
      if (!spread.has_label(node))
        return refuse(why, Verdict::unresolvable, "node(s) didn't match pod topology spread constraints (missing required label)");
      if (!spread.allows(node)) return refuse(why, Verdict::unschedulable, "node(s) didn't match pod topology spread constraints");
    }
    return Verdict::fits;
  }

  std::unique_ptr<PluginState> copy() const override { return std::make_unique<SpreadState>(*this); }
  void change(const Demand& other, const NodeState& node, int by) override {
    for (Spread& spread : spreads_) spread.change(other.pod.meta(), node, by, namespaces_);
  }

 private:
  const NamespaceLabels& namespaces_;
  std::vector<Spread> spreads_;
};

}  // namespace

Prepared prepare_spread(const Cluster& cluster, const Demand& pod, const PluginArgs& args) {
  constexpr std::string_view hard = "DoNotSchedule";
  std::vector<Constraint> constraints = has_own(pod) ? constraints_of(pod, hard) : default_constraints(cluster, pod, args.spread, hard);
  if (constraints.empty()) return {.skip = true};
  return {.state = std::make_unique<SpreadState>(cluster, pod, std::move(constraints))};
}

Verdict check_spread(const Demand&, const PluginState* state, const NodeState& node, Reasons* why) {
  return static_cast<const SpreadState*>(state)->check(node, why);
}

// How many domains the nodes are in; having no label is one of them.
static size_t domains_of(Nodes nodes, const std::vector<bool>& ignored, size_t topology) {
  std::vector<bool> seen;
  size_t count = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (ignored[i]) continue;
    const auto domain = size_t(nodes[i]->domains[topology] + 1);
    if (domain >= seen.size()) seen.resize(domain + 1);
    count += !seen[domain];
    seen[domain] = true;
  }
  return count;
}

bool score_spread(const Cluster& cluster, const Demand& pod, const PluginArgs& args, Nodes nodes, std::span<int64_t> scores) {
  const std::vector<Constraint> constraints =
      has_own(pod) ? constraints_of(pod, anyway) : default_constraints(cluster, pod, args.spread, anyway);
  // A node without zones still has hosts to spread over, by Kubernetes' defaults.
  const bool own = has_own(pod) || !args.spread.system;
  if (constraints.empty()) return false;

  Tallies& tallies = cluster.tallies();
  std::vector<size_t> topologies;
  for (const Constraint& constraint : constraints) topologies.push_back(tallies.topology(constraint.key));
  std::vector<bool> ignored(nodes.size());
  size_t counted = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    ignored[i] = own && std::ranges::any_of(topologies, [&](size_t topology) { return nodes[i]->domains[topology] < 0; });
    counted += !ignored[i];
  }

  std::vector<double> sums(nodes.size());
  for (size_t c = 0; c < constraints.size(); ++c) {
    const Constraint& constraint = constraints[c];
    const bool by_host = constraint.key == hostname;
    // Hosts are compared by what is on each of these nodes, whatever other nodes there are.
    const Tally& tally = by_host ? tallies.count({constraint.term}, "", true)
                                 : tallies.compare(constraint.term, constraint.key, rule_for(tallies, pod, constraint, constraints, !own));
    // Few domains differ by more pods than many do: the logarithm lets both count alike.
    const double weight = std::log(double(by_host ? counted : domains_of(nodes, ignored, topologies[c])) + 2);
    for (size_t i = 0; i < nodes.size(); ++i)
      if (nodes[i]->domains[topologies[c]] >= 0)
        sums[i] += double(tally.pods.at(nodes[i]->domains[tally.topology])) * weight + double(constraint.max_skew - 1);
  }

  int64_t least = INT64_MAX, most = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    scores[i] = std::llround(sums[i]);
    if (ignored[i]) continue;
    least = std::min(least, scores[i]);
    most = std::max(most, scores[i]);
  }
  for (size_t i = 0; i < nodes.size(); ++i) scores[i] = ignored[i] ? 0 : most == 0 ? 100 : 100 * (most + least - scores[i]) / most;
  return true;
}

}  // namespace estiba::scheduler
