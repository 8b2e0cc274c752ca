#include "network/policy/state.h"

#include <algorithm>

namespace estiba::network::policy {

bool PolicyChange::empty() const {
  return groups.empty() && port_groups.empty() && members.empty() && ports.empty() && chains.empty() && ingress.empty() && egress.empty() &&
         isolated.empty();
}

PolicyChange PolicyState::take_change() {
  return {group_ids_.take(), port_group_ids_.take(), members_.take(),     ports_.take(),
          chains_.take(),    verdicts_[0].take(),    verdicts_[1].take(), isolated_.take()};
}

PolicyChange PolicyState::take_whole() {
  return {group_ids_.take_whole(), port_group_ids_.take_whole(), members_.take_whole(),     ports_.take_whole(),
          chains_.take_whole(),    verdicts_[0].take_whole(),    verdicts_[1].take_whole(), isolated_.take_whole()};
}

// --- groups ----------------------------------------------------------------------------------------------------------

bool PolicyState::matches(const Peers& peers, const PodFacts& pod) const {
  if (!peers.ns.empty()) return pod.ns == peers.ns && peers.pods.matches(pod.labels);
  auto labels = namespaces_.find(pod.ns);
  return labels != namespaces_.end() && peers.namespaces.matches(labels->second) && peers.pods.matches(pod.labels);
}

void PolicyState::join(Group& group, const std::optional<Address>& address) {
  if (address && ++group.members[*address] == 1) members_.set({group.id, *address}, {});
}

void PolicyState::leave(Group& group, const std::optional<Address>& address) {
  if (!address) return;
  auto member = group.members.find(*address);
  if (member == group.members.end() || --member->second > 0) return;
  group.members.erase(member);
  members_.erase({group.id, *address});
}

void PolicyState::join_groups(Pod& pod) {
  for (auto& [key, group] : groups_)
    if (matches(group.peers, pod.facts) && pod.groups.insert(key).second) join(group, pod.facts.address);
}

void PolicyState::leave_groups(Pod& pod) {
  for (const std::string& key : std::exchange(pod.groups, {})) leave(groups_.at(key), pod.facts.address);
}

uint32_t PolicyState::use_group(Policy& policy, const Peers& peers) {
  std::string key = peers.key();
  auto [found, fresh] = groups_.try_emplace(key);
  Group& group = found->second;
  if (fresh) {
    group.peers = peers;
    group.id = ++next_id_;
    group_ids_.set(group.id, {});
    for (auto& [uid, pod] : pods_)
      if (matches(peers, pod.facts)) {
        pod.groups.insert(key);
        join(group, pod.facts.address);
      }
  }
  ++group.uses;
  policy.groups.push_back(std::move(key));
  return group.id;
}

// Ports of every pod with such a name: a rule that names a port means it in whatever pod is sent to.
void PolicyState::set_ports(const PodFacts& pod, bool there) {
  if (!pod.address) return;
  for (const NamedPort& port : pod.ports) {
    auto group = port_groups_.find({port.protocol, port.name});
    if (group == port_groups_.end()) continue;
    PodPort element{group->second.id, *pod.address, port.protocol, port.port};
    int& uses = port_uses_[element];
    uses += there ? 1 : -1;
    if (there && uses == 1) ports_.set(element, {});
    if (uses > 0) continue;
    ports_.erase(element);
    port_uses_.erase(element);
  }
}

uint32_t PolicyState::use_ports(Policy& policy, const PortName& name) {
  auto [found, fresh] = port_groups_.try_emplace(name);
  if (fresh) {
    found->second.id = ++next_id_;
    port_group_ids_.set(found->second.id, {});
    for (const auto& [uid, pod] : pods_) {
      PodFacts named = pod.facts;
      std::erase_if(named.ports, [&](const NamedPort& port) { return port.protocol != name.protocol || port.name != name.name; });
      set_ports(named, true);
    }
  }
  ++found->second.uses;
  policy.named.push_back(name);
  return found->second.id;
}

// --- policies --------------------------------------------------------------------------------------------------------

std::vector<Allow> PolicyState::allows_of(Policy& policy, const Rule& rule) {
  std::vector<Allow> peers, allows;
  if (rule.any_peer) peers.push_back({});
  for (const Peers& group : rule.peers) peers.push_back({.peer = Allow::Peer::group, .group = use_group(policy, group)});
  if (!rule.blocks.empty()) peers.push_back({.peer = Allow::Peer::blocks, .blocks = rule.blocks});
  std::vector<Allow> ports;
  if (rule.any_port) ports.push_back({});
  for (const Ports& number : rule.ports) ports.push_back({.port = Allow::Port::number, .number = number});
  for (const PortName& name : rule.named) ports.push_back({.port = Allow::Port::named, .named = use_ports(policy, name)});
  for (const Allow& peer : peers)
    for (const Allow& port : ports) {
      Allow& both = allows.emplace_back(peer);
      both.port = port.port;
      both.number = port.number;
      both.named = port.named;
    }
  return allows;
}

std::string PolicyState::add_chain(const std::string& name, Policy& policy, Direction direction, const std::vector<Rule>& rules) {
  Chain chain{.direction = direction, .note = name};
  for (const Rule& rule : rules) std::ranges::move(allows_of(policy, rule), std::back_inserter(chain.allows));
  std::string id = (direction == Direction::ingress ? "from_" : "to_") + std::to_string(++next_id_);
  chains_.set(id, chain);
  return id;
}

void PolicyState::drop_policy(const std::string& name) {
  auto found = policies_.find(name);
  if (found == policies_.end()) return;
  Policy policy = std::move(found->second);
  policies_.erase(found);
  for (const std::string& chain : policy.chains)
    if (!chain.empty()) chains_.erase(chain);
  for (const std::string& key : policy.groups) {
    auto group = groups_.find(key);
    if (--group->second.uses > 0) continue;
    for (const auto& [address, count] : group->second.members) members_.erase({group->second.id, address});
    group_ids_.erase(group->second.id);
    groups_.erase(group);
    for (auto& [uid, pod] : pods_) pod.groups.erase(key);
  }
  for (const PortName& name : policy.named) {
    auto group = port_groups_.find(name);
    if (--group->second.uses > 0) continue;
    for (auto use = port_uses_.begin(); use != port_uses_.end();) {
      if (use->first.group != group->second.id) {
        ++use;
        continue;
      }
      ports_.erase(use->first);
      use = port_uses_.erase(use);
    }
    port_group_ids_.erase(group->second.id);
    port_groups_.erase(group);
  }
}

void PolicyState::set_policy(const std::string& name, std::optional<Rules> rules) {
  auto known = policies_.find(name);
  std::string text = rules ? rules->text() : std::string();
  if (known == policies_.end() ? !rules : rules && known->second.text == text) return;
  // The new one is taken in before the old one goes, so that what both use stays as it is.
  std::string ns = rules ? rules->ns : known->second.rules.ns;
  std::optional<Policy> next;
  if (rules) {
    next.emplace(Policy{.rules = std::move(*rules), .text = std::move(text)});
    if (next->rules.ingress) next->chains[0] = add_chain(name, *next, Direction::ingress, next->rules.from);
    if (next->rules.egress) next->chains[1] = add_chain(name, *next, Direction::egress, next->rules.to);
  }
  drop_policy(name);
  if (next) policies_.emplace(name, std::move(*next));
  if (auto pods = pods_of_namespace_.find(ns); pods != pods_of_namespace_.end())
    for (const std::string& uid : pods->second) choose_profiles(pods_.at(uid));
}

// --- pods ------------------------------------------------------------------------------------------------------------

void PolicyState::choose_profiles(Pod& pod) {
  if (!pod.facts.local || !pod.facts.address) return;
  std::vector<std::string> chains[2];
  for (auto policy = policies_.lower_bound(pod.facts.ns + "/"); policy != policies_.end() && policy->second.rules.ns == pod.facts.ns;
       ++policy) {
    if (!policy->second.rules.pods.matches(pod.facts.labels)) continue;
    for (size_t direction : {0, 1})
      if (const std::string& chain = policy->second.chains[direction]; !chain.empty()) chains[direction].push_back(chain);
  }
  set_profile(pod, Direction::ingress, chains[0]);
  set_profile(pod, Direction::egress, chains[1]);
  if (chains[0].empty() && chains[1].empty()) isolated_.erase(*pod.facts.address);
  else isolated_.set(*pod.facts.address, {});
}

void PolicyState::set_profile(Pod& pod, Direction direction, const std::vector<std::string>& chains) {
  std::string& now = pod.profiles[size_t(direction)];
  std::string before = std::exchange(now, {});
  if (!chains.empty()) {
    Profile& profile = profiles_[{direction, chains}];
    if (profile.uses++ == 0) {
      profile.chain = (direction == Direction::ingress ? "pods_from_" : "pods_to_") + std::to_string(++next_id_);
      chains_.set(profile.chain, {.direction = direction, .parts = chains});
    }
    now = profile.chain;
    verdicts_[size_t(direction)].set(*pod.facts.address, now);
  } else if (!before.empty()) {
    verdicts_[size_t(direction)].erase(*pod.facts.address);
  }
  if (before.empty()) return;
  auto old = std::ranges::find_if(profiles_, [&](const auto& entry) { return entry.second.chain == before; });
  if (--old->second.uses > 0) return;
  chains_.erase(before);
  profiles_.erase(old);
}

void PolicyState::set_pod(const std::string& uid, std::optional<PodFacts> facts) {
  auto known = pods_.find(uid);
  if (known != pods_.end()) {
    Pod& pod = known->second;
    if (facts && *facts == pod.facts) return;
    leave_groups(pod);
    set_ports(pod.facts, false);
    if (!facts || facts->address != pod.facts.address || facts->ns != pod.facts.ns || !facts->local) {
      set_profile(pod, Direction::ingress, {});
      set_profile(pod, Direction::egress, {});
      if (pod.facts.local && pod.facts.address) isolated_.erase(*pod.facts.address);
    }
    auto others = pods_of_namespace_.find(pod.facts.ns);
    others->second.erase(uid);
    if (others->second.empty()) pods_of_namespace_.erase(others);
    if (!facts) {
      pods_.erase(known);
      return;
    }
  } else if (!facts) {
    return;
  } else {
    known = pods_.emplace(uid, Pod{}).first;
  }
  Pod& pod = known->second;
  pod.facts = std::move(*facts);
  pods_of_namespace_[pod.facts.ns].insert(uid);
  join_groups(pod);
  set_ports(pod.facts, true);
  choose_profiles(pod);
}

void PolicyState::set_namespace(const std::string& name, std::optional<model::Labels> labels) {
  if (labels) namespaces_[name] = std::move(*labels);
  else namespaces_.erase(name);
  auto pods = pods_of_namespace_.find(name);
  if (pods == pods_of_namespace_.end()) return;
  for (const std::string& uid : pods->second) {
    Pod& pod = pods_.at(uid);
    for (auto& [key, group] : groups_) {
      const bool now = matches(group.peers, pod.facts);
      if (now && pod.groups.insert(key).second) join(group, pod.facts.address);
      else if (!now && pod.groups.erase(key)) leave(group, pod.facts.address);
    }
  }
}

}  // namespace estiba::network::policy
