#include "scheduler/tallies.h"

#include "client/selectors.h"
#include "scheduler/cluster.h"

namespace estiba::scheduler {

int32_t DomainCounts::add(int32_t domain, int32_t by) {
  if (all_.empty()) {
    for (auto it = few_.begin(); it != few_.end(); ++it) {
      if (it->first != domain) continue;
      const int32_t now = it->second += by;
      if (now == 0) {
        *it = few_.back();
        few_.pop_back();
      }
      return now;
    }
    if (few_.size() < most_pairs) {
      few_.emplace_back(domain, by);
      return by;
    }
    for (const auto& [key, count] : few_) {
      if (size_t(key) >= all_.size()) all_.resize(size_t(key) + 1);
      all_[size_t(key)] = count;
    }
    few_ = {};
  }
  if (size_t(domain) >= all_.size()) all_.resize(size_t(domain) + 1);
  return all_[size_t(domain)] += by;
}

void Tallies::set_domain(NodeState& node, size_t topology) {
  if (node.domains.size() <= topology) node.domains.resize(topology + 1, -1);
  int32_t& domain = node.domains[topology];
  if (topology == 0) {
    domain = node.number;
    return;
  }
  Topology& named = topologies_[topology];
  const std::string* value = client::find_label(node.node.meta().labels, named.key);
  domain = value ? named.domains.try_emplace(*value, int32_t(named.domains.size())).first->second : -1;
}

size_t Tallies::topology(const std::string& key) {
  const auto [it, fresh] = topology_numbers_.try_emplace(key, topologies_.size());
  if (fresh) {
    topologies_.push_back({.key = key});
    for (NodeState* node : nodes_) set_domain(*node, it->second);
  }
  return it->second;
}

Tally& Tallies::find(std::vector<TermPtr> terms, const std::string& topology_key, bool without_terminating, NodeRule rule, bool compares) {
  std::string key = topology_key + (without_terminating ? "\n1" : "\n0") + (compares ? "1" : "0");
  for (const TermPtr& term : terms) key += "\n" + term->text;
  key += "\n" + rule.text;
  auto& tally = tallies_[key];
  if (!tally) {
    const size_t number = topology(topology_key);
    tally = std::make_unique<Tally>(Tally{.terms = std::move(terms),
                                          .without_terminating = without_terminating,
                                          .topology = number,
                                          .rule = std::move(rule),
                                          .compares = compares});
    tallies_by_label_.insert(tally.get(), tally->terms[0]->selector);
    for (NodeState* node : nodes_) {
      if (compares) change_node(*tally, *node, 1);
      for (const DemandPtr& pod : node->placed) change(*tally, *pod, *node, 1);
    }
    tally->last_use = ++uses_;
    Tally& made = *tally;
    if (tallies_.size() > kept + kept / 4) forget_oldest();
    return made;
  }
  tally->last_use = ++uses_;
  return *tally;
}

const Tally& Tallies::count(const std::vector<TermPtr>& terms, const std::string& topology_key, bool without_terminating) {
  return find(terms, topology_key, without_terminating, {}, false);
}

const Tally& Tallies::compare(TermPtr term, const std::string& topology_key, NodeRule rule) {
  return find({std::move(term)}, topology_key, true, std::move(rule), true);
}

void Tallies::forget_oldest() {
  std::erase_if(tallies_, [&](const auto& entry) {
    const bool old = entry.second->last_use + kept <= uses_;
    if (old) tallies_by_label_.erase(entry.second.get(), entry.second->terms[0]->selector);
    return old;
  });
}

void Tallies::namespace_changed() {
  std::erase_if(tallies_, [&](const auto& entry) {
    const auto& terms = entry.second->terms;
    const bool other = std::ranges::any_of(terms, [](const TermPtr& term) { return term->asks_for_namespaces(); });
    if (other) tallies_by_label_.erase(entry.second.get(), terms[0]->selector);
    return other;
  });
}

void Tallies::change(Tally& tally, const Demand& pod, const NodeState& node, int32_t by) const {
  const int32_t domain = node.domains[tally.topology];
  if (domain < 0) return;
  const model::Meta& meta = pod.pod.meta();
  if (tally.without_terminating && !meta.deletion_timestamp.empty()) return;
  if (tally.compares && !tally.counts_node[size_t(node.number)]) return;
  for (const TermPtr& term : tally.terms)
    if (!term->matches(meta, namespaces_)) return;
  const int32_t now = tally.pods.add(domain, by);
  tally.total += by;
  if (!tally.compares) return;
  const auto before = tally.domains_with.find(now - by);
  if (--before->second == 0) tally.domains_with.erase(before);
  ++tally.domains_with[now];
}

void Tallies::change_node(Tally& tally, const NodeState& node, int32_t by) const {
  const int32_t domain = node.domains[tally.topology];
  if (tally.counts_node.size() <= size_t(node.number)) tally.counts_node.resize(size_t(node.number) + 1);
  auto counts = tally.counts_node[size_t(node.number)];
  if (by > 0) counts = domain >= 0 && (!tally.rule.allows || tally.rule.allows(node));
  if (!counts) return;
  const int32_t now = tally.nodes.add(domain, by);
  if (by > 0 && now == 1) {
    ++tally.domains_with[tally.pods.at(domain)];
    ++tally.domains;
  } else if (by < 0 && now == 0) {
    const auto with = tally.domains_with.find(tally.pods.at(domain));
    if (--with->second == 0) tally.domains_with.erase(with);
    --tally.domains;
  }
  if (by < 0) counts = false;
}

void Tallies::add_node(NodeState& node) {
  node.domains.clear();
  for (size_t topology = 0; topology < topologies_.size(); ++topology) set_domain(node, topology);
  for (auto& [key, tally] : tallies_)
    if (tally->compares) change_node(*tally, node, 1);
  for (const DemandPtr& pod : node.placed) add_pod(*pod, node);
}

void Tallies::remove_node(NodeState& node) {
  for (const DemandPtr& pod : node.placed) remove_pod(*pod, node);
  for (auto& [key, tally] : tallies_)
    if (tally->compares) change_node(*tally, node, -1);
}

void Tallies::change_pod(const Demand& pod, const NodeState& node, int32_t by) {
  // Terms first: they may bring a topology that the node's domains do not have yet.
  if (pod.affinity) {
    for (const TermPtr& term : pod.affinity->required) change_carried(term, Carried::Kind::required, 1, node, by);
    for (const TermPtr& term : pod.affinity->required_anti) change_carried(term, Carried::Kind::required_anti, 1, node, by);
    for (const auto& [term, weight] : pod.affinity->preferred) change_carried(term, Carried::Kind::preferred, weight, node, by);
  }
  tallies_by_label_.each(pod.pod.meta().labels, [&](Tally& tally) { change(tally, pod, node, by); });
}

void Tallies::change_carried(const TermPtr& term, Carried::Kind kind, int32_t weight, const NodeState& node, int32_t by) {
  const size_t number = topology(term->topology_key);
  const int32_t domain = node.domains[number];
  if (domain < 0) return;
  std::string key = std::to_string(int(kind)) + " " + std::to_string(weight) + " " + term->topology_key + "\n" + term->text;
  auto& carried = carried_[key];
  if (!carried) {
    carried = std::make_unique<Carried>(Carried{.term = term, .kind = kind, .weight = weight, .topology = number, .key = key});
    carried_by_label_.insert(carried.get(), term->selector);
  }
  carried->pods.add(domain, by);
  carried->total += by;
  if (carried->total != 0) return;
  carried_by_label_.erase(carried.get(), carried->term->selector);
  carried_.erase(key);
}

}  // namespace estiba::scheduler
