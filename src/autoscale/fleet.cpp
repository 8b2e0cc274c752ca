#include "autoscale/fleet.h"

#include <algorithm>

#include "autoscale/metrics.h"
#include "base/log.h"
#include "base/strings.h"
#include "base/time.h"
#include "client/join_token.h"
#include "controllers/pod_facts.h"

namespace estiba::autoscale {

using client::EventType;
using model::ObjectRef;

Fleet::Fleet(FleetParts parts, UniqueFunction<void()> changed) : parts_(std::move(parts)), changed_(std::move(changed)) {
  for (const NodeGroup& group : parts_.groups.groups) states_[group.name];
}

Member* Fleet::find(std::string_view name) {
  const auto found = members_.find(name);
  return found == members_.end() ? nullptr : &found->second;
}

std::vector<Member*> Fleet::members() {
  std::vector<Member*> out;
  for (auto& [name, member] : members_) out.push_back(&member);
  return out;
}

int64_t Fleet::size(const NodeGroup& group) const {
  return std::ranges::count_if(members_, [&](const auto& entry) { return entry.second.group == &group && !entry.second.going; });
}

size_t Fleet::coming() const {
  return size_t(
      std::ranges::count_if(members_, [](const auto& entry) { return !entry.second.up && !entry.second.going && !entry.second.given_up; }));
}

size_t Fleet::going() const {
  return size_t(std::ranges::count_if(members_, [](const auto& entry) { return entry.second.going; }));
}

bool Fleet::is_complete() const {
  return std::ranges::all_of(states_, [](const auto& entry) { return entry.second.listed; });
}

std::string Fleet::refusal(const NodeGroup& group) const {
  const GroupState& state = states_.at(group.name);
  if (parts_.executor.now() < state.rests_until) return "in backoff after failed scale-up";
  if (!state.listed) return "not ready for scale-up";
  return {};
}

std::string Fleet::failure(const NodeGroup& group) const {
  const GroupState& state = states_.at(group.name);
  return parts_.executor.now() < state.rests_until ? state.failure : std::string();
}

std::optional<Instant> Fleet::next_change() const {
  std::optional<Instant> next;
  const auto now = parts_.executor.now();
  const auto consider = [&](Instant when) {
    if (when > now && (!next || when < *next)) next = when;
  };
  for (const auto& [name, state] : states_) consider(state.rests_until);
  for (const auto& [name, member] : members_) consider(member.left_alone_until);
  return next;
}

// --- what the provider has -------------------------------------------------------------------------------------------------

Task<void> Fleet::refresh() {
  const auto now = parts_.executor.now();
  if (!last_list_ || !is_complete() || now - *last_list_ >= parts_.groups.scan) {
    last_list_ = now;
    removed_.clear();
    TaskGroup asking;
    for (const NodeGroup& group : parts_.groups.groups) asking.start(list(this, &group));
    co_await asking.join();
  }
  look_at_nodes();
}

Task<void> Fleet::list(Fleet* self, const NodeGroup* group) {
  const Instant begun = self->parts_.executor.now();
  auto machines = co_await self->parts_.provider.list(*group);
  GroupState& state = self->states_[group->name];
  state.listed = machines.has_value();
  if (machines) {
    self->take_in(*group, *machines, begun);
    co_return;
  }
  errors().with({"cloudProviderError"}).add();
  log::warn("autoscaler", "the nodes of a group are not known", {{"group", group->name}, {"error", machines.error()}});
  self->parts_.events.record(self->parts_.status, EventType::warning, "FailedToListNodes",
                             "node group " + group->name + ": " + machines.error().message);
}

void Fleet::take_in(const NodeGroup& group, const std::vector<Machine>& machines, Instant begun) {
  for (const Machine& machine : machines) {
    if (removed_.contains(machine.name)) continue;  // it went while the list was made
    const auto [at, fresh] =
        members_.try_emplace(machine.name, Member{.name = machine.name, .group = &group, .since = parts_.executor.now()});
    Member& member = at->second;
    if (machine.failed && !member.going && !member.asked && !member.given_up) {
      const std::string why = machine.message.empty() ? "the provider says that it has failed" : machine.message;
      if (!member.up) fail_group(group, "cloudProviderError", "node " + machine.name + ": " + why);
      begin_giving_up(member, why);
    }
  }
  std::vector<std::string> lost;
  for (const auto& [name, member] : members_)
    if (member.group == &group && !member.asked && !member.going && member.answered <= begun &&
        std::ranges::find(machines, name, &Machine::name) == machines.end())
      lost.push_back(name);
  for (const std::string& name : lost) {
    log::warn("autoscaler", "a node's machine is gone", {{"group", group.name}, {"node", name}});
    members_.erase(name);
    if (const ObjectRef node = parts_.world.node(name); node && !is_ready(node)) tasks_.start(forget_node(name));
  }
}

void Fleet::look_at_nodes() {
  const Instant now = parts_.executor.now();
  std::vector<Member*> late;
  for (auto& [name, member] : members_) {
    if (member.going) continue;
    if (member.given_up) {
      if (now >= member.left_alone_until) late.push_back(&member);
      continue;
    }
    const ObjectRef node = parts_.world.node(name);
    if (member.up && !node) {  // somebody has deleted it: its machine may come back by itself
      member.up = false;
      member.since = now;
    }
    if (member.up) continue;
    // After a restart: a node that was there long before is no new one, though it is not ready now.
    const bool old =
        node && parts_.executor.wall_now() - controllers::time_or_epoch(node.meta().creation_timestamp) > parts_.groups.provision_limit;
    if (node && (is_ready(node) || old)) {
      member.up = true;
      states_[member.group->name].rest = {};
      continue;
    }
    if (!member.asked && now - member.since >= parts_.groups.provision_limit) late.push_back(&member);
  }
  for (Member* member : late) {
    const std::string why = member->given_up ? "the provider could not remove it before" : "it was not ready within maxNodeProvisionTime";
    if (!member->given_up) fail_group(*member->group, "timeout", "node " + member->name + ": " + why);
    begin_giving_up(*member, why);
  }
  forget_marked_nodes();
}

void Fleet::begin_giving_up(Member& member, std::string why) {
  member.given_up = member.going = true;
  tasks_.start(give_up(this, member.name, std::move(why)));
}

// What an earlier server was about to remove when it ended, and whose machine is gone.
void Fleet::forget_marked_nodes() {
  if (!is_complete()) return;
  parts_.world.nodes->each([&](const ObjectRef& node) {
    if (!parts_.groups.find(node.meta().label(group_label))) return;  // another autoscaler's
    if (is_marked_going(node) && !is_ready(node) && !members_.contains(node.meta().name)) tasks_.start(forget_node(node.meta().name));
  });
}

// --- coming ------------------------------------------------------------------------------------------------------------------

std::vector<std::string> Fleet::grow(const NodeGroup& group, int64_t count) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < count; ++i) {
    std::string name = group.name + "-" + random_suffix(5);
    while (members_.contains(name) || parts_.world.node(name)) name = group.name + "-" + random_suffix(5);
    members_[name] = {.name = name, .group = &group, .since = parts_.executor.now(), .asked = true};
    names.push_back(name);
  }
  last_growth_ = parts_.executor.now();
  for (const std::string& name : names) tasks_.start(create(this, name));
  return names;
}

// One for each machine, which is of no use to anybody a little later.
Task<Result<std::string>> Fleet::join_token() {
  const client::JoinToken token = client::make_join_token(parts_.ca_hash);
  const std::string until = format_rfc3339(parts_.executor.wall_now() + parts_.groups.provision_limit + std::chrono::minutes(1));
  CO_TRY_AS("make a join token",
            co_await parts_.client.create(client::secrets, "kube-system",
                                          client::token_secret(token, "for a node that the autoscaler asks for", until)));
  co_return token.text();
}

Task<void> Fleet::create(Fleet* self, std::string name) {
  co_await yield_now();  // the caller has all names first
  const NodeGroup& group = *self->members_[name].group;
  Result<void> made;
  if (auto token = co_await self->join_token()) made = co_await self->parts_.provider.create(group, name, std::move(*token));
  else made = std::unexpected(std::move(token.error()));
  Member& member = self->members_[name];
  member.asked = false;
  member.answered = self->parts_.executor.now();
  if (made) {
    scaled_up().add();
    log::info("autoscaler", "a node is coming", {{"group", group.name}, {"node", name}});
    self->changed_();
    co_return;
  }
  const char* reason = made.error().code == Code::timeout ? "timeout" : "cloudProviderError";
  self->fail_group(group, reason, "node " + name + ": " + made.error().message);
  member.given_up = member.going = true;
  co_await give_up(self, name, made.error().message);
}

void Fleet::fail_group(const NodeGroup& group, std::string_view reason, const std::string& message) {
  failed_scale_ups().with({std::string(reason)}).add();
  log::warn("autoscaler", "a group of nodes did not grow", {{"group", group.name}, {"error", message}});
  parts_.events.record(parts_.status, EventType::warning, "FailedToScaleUpGroup",
                       "Scale-up failed for group " + group.name + ": " + message);
  GroupState& state = states_[group.name];
  state.failure = message;
  if (parts_.executor.now() < state.rests_until) return;  // of several that fail at once, the first counts
  state.rest =
      std::clamp(state.rest * 2, parts_.groups.first_backoff, std::max(parts_.groups.first_backoff, parts_.groups.longest_backoff));
  state.rests_until = parts_.executor.now() + state.rest;
}

// --- going -------------------------------------------------------------------------------------------------------------------

Task<Result<void>> Fleet::remove(std::string name) {
  const NodeGroup& group = *members_.at(name).group;
  CO_TRY(co_await parts_.provider.remove(group, name));
  co_await forget_node(name);
  members_.erase(name);
  removed_[name] = parts_.executor.now();
  changed_();
  co_return {};
}

Task<void> Fleet::forget_node(std::string name) {
  auto gone = co_await parts_.client.remove(client::nodes, "", name);
  if (!gone && gone.error().code != Code::not_found)
    log::warn("autoscaler", "a Node was not deleted", {{"node", name}, {"error", gone.error()}});
}

// Whatever there is of it goes. When the provider cannot, it is tried again after a while.
Task<void> Fleet::give_up(Fleet* self, std::string name, std::string why) {
  log::warn("autoscaler", "a node is given up", {{"node", name}, {"reason", why}});
  auto gone = co_await self->remove(name);
  if (gone) co_return;
  errors().with({"cloudProviderError"}).add();
  log::warn("autoscaler", "a machine was not removed", {{"node", name}, {"error", gone.error()}});
  self->parts_.events.record(self->parts_.status, EventType::warning, "FailedToRemoveNode", "node " + name + ": " + gone.error().message);
  if (Member* member = self->find(name)) {
    member->going = false;
    member->left_alone_until = self->parts_.executor.now() + self->parts_.groups.first_backoff;
  }
  self->changed_();
}

}  // namespace estiba::autoscale
