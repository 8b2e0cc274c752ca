#include "cli/compose/plan.h"

#include <algorithm>
#include <set>

namespace estiba::cli::compose {

std::vector<Action> plan_service(const std::vector<Member>& present, const Wanted& wanted) {
  using Step = Action::Step;
  std::vector<const Member*> order;
  for (const Member& member : present) order.push_back(&member);
  auto changed = [&](const Member& member) {
    return member.hash != wanted.hash || (!wanted.image_id.empty() && member.image_id != wanted.image_id);
  };
  std::stable_sort(order.begin(), order.end(), [](const Member* a, const Member* b) { return a->number < b->number; });
  std::vector<Action> out, removals;
  std::set<int64_t> taken;
  for (const Member* member : order) {
    if (int64_t(out.size()) >= wanted.replicas) {
      removals.push_back({Step::remove, member->number, *member});
      continue;
    }
    taken.insert(member->number);
    const bool recreate = wanted.force_recreate || (!wanted.no_recreate && changed(*member));
    out.push_back({recreate ? Step::recreate : member->state == "running" ? Step::keep : Step::start, member->number, *member});
  }
  for (int64_t number = 1; int64_t(out.size()) < wanted.replicas; ++number)
    if (!taken.contains(number)) out.push_back({Step::create, number, {}});
  std::stable_sort(out.begin(), out.end(), [](const Action& a, const Action& b) { return a.number < b.number; });
  out.insert(out.end(), removals.begin(), removals.end());
  return out;
}

}  // namespace estiba::cli::compose
