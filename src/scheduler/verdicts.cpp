#include "scheduler/verdicts.h"

#include <algorithm>
#include <numeric>

#include "model/codec.h"
#include "model/node_features.h"

namespace estiba::scheduler {

void Verdicts::forget(int32_t position) {
  if (!candidates_.empty()) candidates_[size_t(position)] = {};
  if (!scores_.empty()) scores_[size_t(position)] = -1;
  Answer& answer = answers_[size_t(position)];
  switch (answer.known) {
    case Known::nothing: return;
    case Known::refuses: break;
    case Known::fits: --fitting_; break;
    case Known::unschedulable:
      if (doubtful_.size() < few_) doubtful_.push_back(position);
      else complete_ = false;
      [[fallthrough]];
    case Known::unresolvable: --said_[answer.reasons].nodes;
  }
  if (answer.known != Known::refuses) unexplained_.push_back(position);
  answer = {};
  ++unasked_;
}

void Verdicts::refresh(const Cluster& cluster) {
  const bool whole = cluster.each_changed(seen_, order_, [this](int32_t position) { forget(position); });
  if (whole) {
    for (const int32_t position : fleeting_) forget(position);
    fleeting_.clear();
    return;
  }
  const uint64_t seen = seen_;
  *this = {};
  seen_ = seen;
  order_ = cluster.order();
  unasked_ = cluster.nodes().size();
  answers_.resize(unasked_);
  unexplained_.resize(unasked_);
  std::iota(unexplained_.begin(), unexplained_.end(), 0);
}

// A pod that has been promised room may keep others away by their labels, which are not in the shape.
static bool is_fleeting(const NodeState& node) {
  return std::ranges::any_of(node.nominated, [](const DemandPtr& promised) { return promised->affinity != nullptr; });
}

void Verdicts::ask(const Cycle& cycle, const NodeState& node, Reasons* reasons) {
  Answer& answer = answers_[size_t(node.position)];
  if (answer.known == Known::nothing) {
    --unasked_;
    if (is_fleeting(node)) fleeting_.push_back(node.position);
  }
  const Verdict verdict = cycle.check(node, reasons);
  if (verdict == Verdict::fits) {
    answer.known = Known::fits;
    ++fitting_;
  } else if (!reasons) {
    answer.known = Known::refuses;
  } else {
    answer.known = verdict == Verdict::unschedulable ? Known::unschedulable : Known::unresolvable;
    answer.reasons = place_of(std::move(*reasons));
    ++said_[answer.reasons].nodes;
    if (verdict == Verdict::unschedulable && std::erase(doubtful_, node.position) == 0) complete_ = false;
  }
}

uint16_t Verdicts::place_of(Reasons reasons) {
  const auto there = std::ranges::find(said_, reasons, &Said::reasons);
  if (there != said_.end()) return uint16_t(there - said_.begin());
  // Nodes differ in what they lack, so there are a few; beyond so many the first counts for all.
  if (said_.size() == UINT16_MAX) return 0;
  said_.push_back({std::move(reasons)});
  return uint16_t(said_.size() - 1);
}

bool Verdicts::fits(const Cycle& cycle, const NodeState& node) {
  const Answer& answer = answers_[size_t(node.position)];
  if (answer.known == Known::nothing) ask(cycle, node, nullptr);
  return answer.known == Known::fits;
}

bool Verdicts::none_fits(const Cycle& cycle) {
  if (fitting_ == 0 && unasked_ > 0 && unasked_ <= few_)
    for (size_t i = 0; i < unexplained_.size() && unasked_ > 0; ++i)
      if (const int32_t position = unexplained_[i]; answers_[size_t(position)].known == Known::nothing)
        ask(cycle, *cycle.cluster().nodes()[size_t(position)], nullptr);
  return unasked_ == 0 && fitting_ == 0;
}

void Verdicts::explain(const Cycle& cycle, Reasons& reasons) {
  const std::vector<NodeState*>& nodes = cycle.cluster().nodes();
  for (const int32_t position : unexplained_) {
    const Known known = answers_[size_t(position)].known;
    Reasons why;
    if (known == Known::nothing || known == Known::refuses) ask(cycle, *nodes[size_t(position)], &why);
  }
  // What fits has no reasons now; when it changes it comes back.
  unexplained_.clear();
  if (!complete_ || !doubtful_.empty()) {
    doubtful_.clear();
    unschedulable_.clear();
    for (size_t i = 0; i < nodes.size(); ++i)
      if (answers_[i].known == Known::unschedulable) unschedulable_.push_back(nodes[i]);
    complete_ = true;
  }
  for (const Said& said : said_)
    if (said.nodes > 0) reasons.add(said.reasons, said.nodes);
}

void Verdicts::add_scores(const Cycle& cycle, std::span<const NodeState* const> nodes, std::span<int64_t> sums) {
  if (scores_.empty()) scores_.resize(answers_.size(), -1);
  std::vector<const NodeState*> changed;
  for (const NodeState* node : nodes)
    if (scores_[size_t(node->position)] < 0) changed.push_back(node);
  std::vector<int64_t> fresh(changed.size()), scores(changed.size());
  for (const ScorePlugin& plugin : cycle.profile().scores) {
    if (!plugin.local || !plugin.score(cycle.cluster(), cycle.pod(), cycle.profile().args, changed, scores)) continue;
    for (size_t i = 0; i < fresh.size(); ++i) fresh[i] += plugin.weight * scores[i];
  }
  for (size_t i = 0; i < changed.size(); ++i) scores_[size_t(changed[i]->position)] = fresh[i];
  for (size_t i = 0; i < nodes.size(); ++i) sums[i] += scores_[size_t(nodes[i]->position)];
}

Candidate& Verdicts::candidate(const NodeState& node) {
  if (candidates_.empty()) candidates_.resize(answers_.size());
  return candidates_[size_t(node.position)];
}

Verdicts* VerdictCache::of(const Cycle& cycle) {
  constexpr size_t most = 16;
  const Cluster& cluster = cycle.cluster();
  if (cluster.nodes().size() < least_nodes_ || cycle.only() || !cycle.refusal().empty() || !cycle.is_local()) return nullptr;
  // A pod is not in its own way where it has been promised room.
  if (cluster.is_nominated(cycle.pod().pod.meta().uid)) return nullptr;
  std::string shape = shape_of(cycle.pod());
  auto entry = std::ranges::find_if(entries_, [&](const Entry& e) { return e.profile == &cycle.profile() && e.shape == shape; });
  if (entry == entries_.end()) {
    if (entries_.size() == most) entries_.pop_back();
    entries_.push_front({&cycle.profile(), std::move(shape), {}});
  } else if (entry != entries_.begin()) {
    entries_.splice(entries_.begin(), entries_, entry);
  }
  Verdicts& verdicts = entries_.front().verdicts;
  verdicts.refresh(cluster);
  return &verdicts;
}

void VerdictCache::forget_candidates() {
  for (Entry& entry : entries_) entry.verdicts.forget_candidates();
}

std::string shape_of(const Demand& pod) {
  std::string out;
  const auto number = [&](int64_t value) { out.append(std::to_string(value)).append(","); };
  for (const int64_t value : {int64_t(pod.priority), pod.request.cpu, pod.request.memory, pod.request.ephemeral, int64_t(pod.scored_cpu),
                              int64_t(pod.scored_memory)})
    number(value);
  for (const auto& [name, amount] : pod.request.others) {
    out.append(name).append("=");
    number(amount);
  }
  for (const HostPort& port : pod.ports) {
    out.append(port.ip).append(" ").append(port.protocol).append(" ");
    number(port.port);
  }
  const auto& spec = pod.typed().spec;
  out.append(spec.nodeName).append(";");
  for (const std::string_view feature : model::node_features::needed_by(spec)) out.append(feature).append(",");
  for (const auto& toleration : spec.tolerations) out.append(model::encode(toleration));
  for (const auto& [key, value] : spec.nodeSelector) out.append(key).append("=").append(value).append(",");
  if (spec.affinity && spec.affinity->nodeAffinity) out.append(model::encode(*spec.affinity->nodeAffinity));
  return out;
}

}  // namespace estiba::scheduler
