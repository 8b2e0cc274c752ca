// Counts of placed pods by topology domain, kept up to date placement by placement, so that a decision about neighbours reads a few
// numbers instead of walking over all pods.
//
//  - A `Tally` counts the pods that match some terms. It is made when a decision first asks for it and kept while it is used: pods of one
//    workload ask the same.
//  - A `Carried` counts the pods that have a term, so that a pod finds who wants it or cannot bear it. There is one for every term of
//    every placed pod.
//
// Both are found by one label that their selector requires: what a placement costs does not depend on how many there are.
#pragma once
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/function.h"
#include "scheduler/affinity_terms.h"
#include "scheduler/demand.h"

namespace estiba::scheduler {

struct NodeState;

/// A number a domain; few are kept as pairs, many in an array.
class DomainCounts {
 public:
  int32_t at(int32_t domain) const {
    if (domain < 0) return 0;
    if (!all_.empty()) return size_t(domain) < all_.size() ? all_[size_t(domain)] : 0;
    for (const auto& [key, count] : few_)
      if (key == domain) return count;
    return 0;
  }
  /// Returns the new number.
  int32_t add(int32_t domain, int32_t by);

 private:
  static constexpr size_t most_pairs = 16;
  std::vector<std::pair<int32_t, int32_t>> few_;
  std::vector<int32_t> all_;
};

/// Which nodes' pods count. Equal texts mean equal rules.
struct NodeRule {
  std::string text;
  UniqueFunction<bool(const NodeState&)> allows;  ///< null: all nodes
};

struct Tally {
  std::vector<TermPtr> terms;  ///< a pod matches all of them
  bool without_terminating = false;
  size_t topology = 0;
  DomainCounts pods;
  int64_t total = 0;  ///< of pods in all domains
  // Where domains are compared with each other:
  NodeRule rule;
  bool compares = false;
  DomainCounts nodes;                       ///< nodes that count, by domain
  std::map<int32_t, int32_t> domains_with;  ///< how many domains have so many pods, of those with such nodes
  int32_t domains = 0;
  std::vector<bool> counts_node;  ///< by NodeState::number
  uint64_t last_use = 0;
};

struct Carried {
  enum class Kind : uint8_t { required, required_anti, preferred };
  TermPtr term;
  Kind kind;
  int32_t weight;
  size_t topology;
  DomainCounts pods;
  int64_t total = 0;
  std::string key;
};

/// What is looked for by the pods that it matches: each stands under a label that its selector requires, or among those without one.
template <class T>
class ByLabel {
 public:
  void insert(T* item, const model::LabelSelector& selector) { place(selector).push_back(item); }
  void erase(T* item, const model::LabelSelector& selector) { std::erase(place(selector), item); }
  template <class F>
  void each(const model::Labels& labels, F&& visit) const {
    for (T* item : others_) visit(*item);
    for (const auto& [key, value] : labels) {
      const auto values = keyed_.find(key);
      if (values == keyed_.end()) continue;
      const auto items = values->second.find(value);
      if (items == values->second.end()) continue;
      for (T* item : items->second) visit(*item);
    }
  }

 private:
  std::vector<T*>& place(const model::LabelSelector& selector) {
    for (const model::Requirement& requirement : selector.requirements())
      if (requirement.op == model::Requirement::Op::in && requirement.values.size() == 1)
        return keyed_[requirement.key][requirement.values[0]];
    return others_;
  }
  std::unordered_map<std::string, std::unordered_map<std::string, std::vector<T*>>> keyed_;
  std::vector<T*> others_;
};

class Tallies {
 public:
  /// Both must outlive this; `nodes` are those that are known.
  Tallies(const std::vector<NodeState*>& nodes, const NamespaceLabels& namespaces) : nodes_(nodes), namespaces_(namespaces) {}

  /// The key's number in NodeState::domains. "" is the topology in which every node is a domain.
  size_t topology(const std::string& key);
  /// Which pods match all terms. Valid until the next call that changes anything, or the next but `kept` of these.
  const Tally& count(const std::vector<TermPtr>& terms, const std::string& topology_key, bool without_terminating = false);
  /// The same where domains are compared, of the nodes that the rule allows and of pods that are not terminating.
  const Tally& compare(TermPtr term, const std::string& topology_key, NodeRule rule);
  /// The terms of placed pods that the pod matches.
  template <class F>
  void carried(const model::Meta& pod, F&& visit) const {
    carried_by_label_.each(pod.labels, [&](const Carried& carried) {
      if (carried.term->matches(pod, namespaces_)) visit(carried);
    });
  }
  const NamespaceLabels& namespaces() const { return namespaces_; }

  // The cluster's changes. A node comes with its pods and goes before they do.
  void add_node(NodeState& node);
  void remove_node(NodeState& node);
  void add_pod(const Demand& pod, const NodeState& node) { change_pod(pod, node, 1); }
  void remove_pod(const Demand& pod, const NodeState& node) { change_pod(pod, node, -1); }
  /// Labels of a namespace are others.
  void namespace_changed();

 private:
  static constexpr size_t kept = 1024;
  struct Topology {
    std::string key;
    std::unordered_map<std::string, int32_t> domains;
  };
  void set_domain(NodeState& node, size_t topology);
  Tally& find(std::vector<TermPtr> terms, const std::string& topology_key, bool without_terminating, NodeRule rule, bool compares);
  void change_pod(const Demand& pod, const NodeState& node, int32_t by);
  void change_carried(const TermPtr& term, Carried::Kind kind, int32_t weight, const NodeState& node, int32_t by);
  void change(Tally& tally, const Demand& pod, const NodeState& node, int32_t by) const;
  void change_node(Tally& tally, const NodeState& node, int32_t by) const;
  void forget_oldest();

  const std::vector<NodeState*>& nodes_;
  const NamespaceLabels& namespaces_;
  std::vector<Topology> topologies_{{}};
  std::unordered_map<std::string, size_t> topology_numbers_{{"", 0}};
  std::unordered_map<std::string, std::unique_ptr<Tally>> tallies_;
  ByLabel<Tally> tallies_by_label_;
  std::unordered_map<std::string, std::unique_ptr<Carried>> carried_;
  ByLabel<Carried> carried_by_label_;
  uint64_t uses_ = 0;
};

}  // namespace estiba::scheduler
