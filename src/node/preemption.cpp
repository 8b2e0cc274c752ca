#include "node/preemption.h"

#include <algorithm>
#include <cmath>

#include "model/types/core_v1.h"
#include "node/ranking.h"
#include "node/resources.h"

namespace estiba::node {

using model::ObjectRef;
using model::core_v1::Pod;

namespace {

// What is still to be found of a resource.
struct Need {
  std::string resource;
  int64_t amount;
};

int64_t given_up_by(const Present& pod, const std::string& resource) {
  if (resource == "pods") return 1;
  const auto found = pod.requests.find(resource);
  return found == pod.requests.end() ? 0 : amount_of(resource, found->second);
}

class Choice {
 public:
  explicit Choice(const std::vector<Present>& pods) : pods_(pods) {}

  /// What remains of `needs` without these pods.
  std::vector<Need> without(std::vector<Need> needs, const std::vector<size_t>& gone) const {
    for (Need& need : needs)
      for (const size_t i : gone) need.amount -= given_up_by(pods_[i], need.resource);
    std::erase_if(needs, [](const Need& need) { return need.amount <= 0; });
    return needs;
  }

  /// As few of `candidates` as there can be; they suffice. One after the other: the one that leaves the least, each resource counting the
  /// same.
  std::vector<size_t> fewest(std::vector<size_t> candidates, std::vector<Need> needs) const {
    std::vector<size_t> chosen;
    while (!needs.empty() && !candidates.empty()) {
      const auto best = std::ranges::min_element(candidates, [&](size_t a, size_t b) {
        const double from_a = distance(pods_[a], needs), from_b = distance(pods_[b], needs);
        return from_a != from_b ? from_a < from_b : is_smaller(pods_[a], pods_[b]);
      });
      chosen.push_back(*best);
      needs = without(std::move(needs), {*best});
      candidates.erase(best);
    }
    return chosen;
  }

 private:
  static double distance(const Present& pod, const std::vector<Need>& needs) {
    double sum = 0;
    for (const Need& need : needs)
      if (const double rest = double(need.amount - given_up_by(pod, need.resource)); rest > 0)
        sum += std::pow(rest / double(need.amount), 2);
    return sum;
  }
  static bool is_smaller(const Present& a, const Present& b) {
    for (const char* resource : {"memory", "cpu"})
      if (const int64_t of_a = given_up_by(a, resource), of_b = given_up_by(b, resource); of_a != of_b) return of_a < of_b;
    return false;
  }

  const std::vector<Present>& pods_;
};

std::vector<size_t> joined(std::vector<size_t> a, const std::vector<size_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

bool may_preempt(const ObjectRef& pod, const ObjectRef& other) {
  if (is_critical(pod) && !is_critical(other)) return true;
  const auto &a = pod.as<Pod>().spec.priority, &b = other.as<Pod>().spec.priority;
  return a && b && *a > *b;
}

std::optional<std::vector<size_t>> victims_of(const ObjectRef& pod, const std::vector<Present>& others, std::vector<Shortage> shortages) {
  std::vector<size_t> guaranteed, burstable, rest;
  for (size_t i = 0; i < others.size(); ++i) {
    if (!may_preempt(pod, others[i].pod)) continue;
    const std::string of = qos_class(others[i].pod.as<Pod>());
    (of == "Guaranteed" ? guaranteed : of == "Burstable" ? burstable : rest).push_back(i);
  }
  std::vector<Need> needs;
  for (const Shortage& shortage : shortages) needs.push_back({shortage.resource, shortage.missing()});
  const Choice choice(others);
  if (!choice.without(needs, joined(joined(rest, burstable), guaranteed)).empty()) return std::nullopt;
  // Of each class what is needed although all below it went; then fewer of those below, since that one goes.
  const auto first = choice.fewest(guaranteed, choice.without(needs, joined(rest, burstable)));
  const auto second = choice.fewest(burstable, choice.without(needs, joined(rest, first)));
  const auto third = choice.fewest(rest, choice.without(needs, joined(second, first)));
  return joined(joined(third, second), first);
}

}  // namespace estiba::node
