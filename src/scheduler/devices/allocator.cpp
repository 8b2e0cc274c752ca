#include "scheduler/devices/allocator.h"

#include <algorithm>
#include <set>

#include "scheduler/devices/capacity.h"

namespace estiba::scheduler::devices {

namespace {

/// A device of a pool of the node.
struct Candidate {
  const Pool* pool;
  const SlicePtr* slice;
  const Device* device;
};

/// What is to be done for a wish.
struct Work {
  DeviceClassPtr of;
  size_t count = 0;
  std::vector<Candidate> all;  ///< where all are asked for
};

bool same_value(const json::Node& a, const json::Node& b) {
  for (std::string_view kind : {"string", "int", "bool", "version"}) {
    const json::Node *left = a.find(kind), *right = b.find(kind);
    if (left) return right && json::equal(*left, *right);
  }
  return false;
}

/// What a constraint has seen so far in one claim.
class Watcher {
 public:
  explicit Watcher(const Constraint& constraint) : constraint_(constraint) {}

  bool add(const Request& request, const Wish& wish, std::string_view driver, const Device& device) {
    if (!constraint_.concerns(request, wish)) return true;
    const json::Node* value = device.attribute(driver, constraint_.attribute);
    if (!value) return false;
    const auto equals = [&](const json::Node* seen) { return same_value(*value, *seen); };
    if (constraint_.distinct ? std::ranges::any_of(seen_, equals) : !seen_.empty() && !equals(seen_[0])) return false;
    seen_.push_back(value);
    return true;
  }
  /// The last that was added.
  void remove(const Request& request, const Wish& wish) {
    if (constraint_.concerns(request, wish)) seen_.pop_back();
  }

 private:
  const Constraint& constraint_;
  std::vector<const json::Node*> seen_;
};

bool repels(const DeviceTaint& taint, const Wish& wish) {
  if (taint.effect != "NoSchedule" && taint.effect != "NoExecute") return false;
  return std::ranges::none_of(wish.tolerations, [&](const DeviceToleration& one) { return one.tolerates(taint); });
}

bool is_tainted(const Stock& stock, const Slice& slice, const Device& device, const Wish& wish) {
  return std::ranges::any_of(device.taints, [&](const DeviceTaint& taint) { return repels(taint, wish); }) ||
         std::ranges::any_of(stock.taint_rules, [&](const auto& entry) {
           return entry.second.selects(slice.driver, slice.pool, device.name) && repels(entry.second.taint, wish);
         });
}

}  // namespace

/// One attempt at one node.
class Search {
 public:
  Search(Allocator& allocator, const NodeState& node)
      : allocator_(allocator), stock_(allocator.stock_), node_(node), pools_(stock_.inventory.pools_at(node)) {}

  Result<std::optional<std::vector<Allocation>>> run() {
    for (const ClaimPtr& claim : allocator_.claims_) TRY(prepare(*claim));
    const Outcome outcome = request(0, 0);
    if (outcome == Outcome::failed) return fail(Code::invalid, error_);
    if (outcome == Outcome::found) return std::optional(std::move(results_));
    if (std::ranges::any_of(pools_, &Pool::invalid)) return fail(Code::invalid, "invalid resource pools were encountered");
    return std::nullopt;
  }

 private:
  enum class Outcome : uint8_t { found, none, too_many, failed };
  struct Place {
    size_t pool = 0, slice = 0, device = 0;
  };

  Outcome failed(std::string error) {
    error_ = std::move(error);
    return Outcome::failed;
  }
  static std::string name_of(const Claim& claim, const Wish& wish) {
    return "claim " + claim.meta().ns + "/" + claim.meta().name + ", request " + wish.name;
  }

  // What each wish comes to. Fewer devices are never needed than here; so it is known early when a claim could not hold them.
  Result<void> prepare(const Claim& claim) {
    size_t least = 0;
    for (const Request& request : claim.requests) {
      size_t fewest = SIZE_MAX;
      for (const Wish& wish : request.wishes) {
        const auto of = stock_.classes.find(wish.device_class);
        if (of == stock_.classes.end())
          return fail(Code::not_found, name_of(claim, wish) + ": could not retrieve device class " + wish.device_class);
        Work& work = works_[&wish];
        work.of = of->second;
        work.count = size_t(std::max<int64_t>(wish.count, 0));
        if (wish.all) TRY(gather(claim, wish, work));
        fewest = std::min(fewest, work.count);
      }
      least += request.wishes.empty() ? 0 : fewest;
    }
    if (least > most_results)
      return fail(Code::invalid, "claim " + claim.meta().ns + "/" + claim.meta().name + ": number of requested devices " +
                                     std::to_string(least) + " exceeds the claim limit of " + std::to_string(most_results));
    auto& watchers = watchers_.emplace_back();
    for (const Constraint& constraint : claim.constraints) watchers.emplace_back(constraint);
    Allocation& result = results_.emplace_back();
    result.chosen.resize(claim.requests.size());
    result.classes.resize(claim.requests.size());
    return {};
  }

  Result<void> gather(const Claim& claim, const Wish& wish, Work& work) {
    for (const Pool& pool : pools_) {
      if (!pool.usable())
        return fail(Code::conflict, name_of(claim, wish) + ": asks for all devices, but resource pool " + pool.id + " is currently " +
                                        (pool.incomplete ? "being updated" : "invalid"));
      for (const SlicePtr& slice : pool.here)
        for (const Device& device : slice->devices)
          if (TRY(is_selectable(claim, wish, *work.of, *slice, device)) && has_capacity(wish, device))
            work.all.push_back({&pool, &slice, &device});
    }
    work.count = work.all.size();
    return {};
  }

  Result<bool> is_selectable(const Claim& claim, const Wish& wish, const DeviceClass& of, const Slice& slice, const Device& device) {
    if (!TRY(allocator_.selects(claim, wish, of, slice, device))) return false;
    return !slice.each_device || device.reach.includes(node_);
  }

  bool has_capacity(const Wish& wish, const Device& device) const {
    const auto taking = sharing_.find(&device);
    return has_room(device, wish.capacity, stock_.ledger.consumed(device.id), taking == sharing_.end() ? nullptr : &taking->second);
  }

  /// From a claim's request on.
  Outcome request(size_t claim, size_t number) {
    if (claim == allocator_.claims_.size()) return Outcome::found;
    const auto& requests = allocator_.claims_[claim]->requests;
    if (number == requests.size()) {
      // Another choice for an earlier claim may let this one do with less.
      const Outcome outcome = request(claim + 1, 0);
      return outcome == Outcome::too_many ? Outcome::none : outcome;
    }
    bool all_too_many = requests[number].alternatives;
    for (size_t i = 0; i < requests[number].wishes.size(); ++i) {
      results_[claim].chosen[number] = i;
      results_[claim].classes[number] = works_.at(&requests[number].wishes[i]).of;
      const Outcome outcome = device(claim, number, 0, {});
      if (outcome == Outcome::found || outcome == Outcome::failed) return outcome;
      if (!requests[number].alternatives) return outcome;
      all_too_many &= outcome == Outcome::too_many;
    }
    return all_too_many ? Outcome::too_many : Outcome::none;
  }

  /// The nth device of a request, behind those that have been tried for the one before.
  Outcome device(size_t claim, size_t number, size_t nth, Place from) {
    if (++steps_ > Allocator::most_steps || ++allocator_.steps_ > Allocator::most_steps_in_all)
      return failed("gave up after " + std::to_string(steps_ - 1) + " attempts to allocate devices");
    const Claim& of = *allocator_.claims_[claim];
    const Request& request_of = of.requests[number];
    const Wish& wish = request_of.wishes[results_[claim].chosen[number]];
    const Work& work = works_.at(&wish);
    if (wish.all && work.all.empty()) return Outcome::none;
    if (nth >= work.count) return request(claim, number + 1);
    if (results_[claim].devices.size() + work.count - nth > most_results) return Outcome::too_many;
    if (wish.all) {
      const Candidate& candidate = work.all[nth];
      if (!take(claim, request_of, wish, candidate)) return Outcome::none;
      return then(claim, number, nth, {}, candidate);
    }
    for (size_t p = from.pool; p < pools_.size(); ++p) {
      const Pool& pool = pools_[p];
      if (!pool.usable()) continue;
      for (size_t s = p == from.pool ? from.slice : 0; s < pool.here.size(); ++s) {
        const Slice& slice = *pool.here[s];
        for (size_t d = p == from.pool && s == from.slice ? from.device : 0; d < slice.devices.size(); ++d) {
          const Candidate candidate{&pool, &pool.here[s], &slice.devices[d]};
          if (is_busy(claim, wish, *candidate.device)) continue;
          const auto selectable = is_selectable(of, wish, *work.of, slice, *candidate.device);
          if (!selectable) return failed(selectable.error().message);
          if (!*selectable || !take(claim, request_of, wish, candidate)) continue;
          const Outcome outcome = then(claim, number, nth, {p, s, d + 1}, candidate);
          if (outcome != Outcome::none) return outcome;
        }
      }
    }
    return Outcome::none;
  }

  // Goes on with the next device; what was taken is given back when that leads nowhere.
  Outcome then(size_t claim, size_t number, size_t nth, Place from, const Candidate& candidate) {
    const Request& of = allocator_.claims_[claim]->requests[number];
    const size_t chosen = results_[claim].chosen[number];
    const Outcome outcome = device(claim, number, nth + 1, from);
    if (outcome != Outcome::found) give_back(claim, of, of.wishes[chosen], candidate);
    return outcome;
  }

  bool is_busy(size_t claim, const Wish& wish, const Device& device) const {
    const auto taken = taking_.find(&device);
    if (wish.admin) return taken != taking_.end() && taken->second.contains(claim);
    return stock_.ledger.is_taken(device.id) || (taken != taking_.end() && !taken->second.empty());
  }

  bool take(size_t claim, const Request& request, const Wish& wish, const Candidate& candidate) {
    const Device& device = *candidate.device;
    if (is_busy(claim, wish, device) || is_tainted(stock_, **candidate.slice, device, wish) || !has_capacity(wish, device)) return false;
    // Whoever shares a device has its counters with the others.
    const bool counts =
        !device.uses.empty() && !(device.allows_multiple && (stock_.ledger.is_used(device.id) || sharing_.contains(&device)));
    if (counts && !has_counters(*candidate.pool, device)) return false;
    auto& watchers = watchers_[claim];
    for (size_t i = 0; i < watchers.size(); ++i) {
      if (watchers[i].add(request, wish, (*candidate.slice)->driver, device)) continue;
      while (i-- > 0) watchers[i].remove(request, wish);
      return false;
    }
    Assigned assigned{&wish, *candidate.slice, &device};
    if (device.allows_multiple) {
      assigned.consumed = consumption(device, wish.capacity);
      Amounts& total = sharing_[&device];
      for (const auto& [name, amount] : assigned.consumed) total[name] += amount;
      ++sharers_[&device];
    } else {
      taking_[&device].insert(claim);
    }
    if (counts) change_counters(*candidate.pool, device, true);
    counted_.push_back(counts);
    results_[claim].devices.push_back(std::move(assigned));
    return true;
  }

  void give_back(size_t claim, const Request& request, const Wish& wish, const Candidate& candidate) {
    const Device& device = *candidate.device;
    for (Watcher& watcher : watchers_[claim]) watcher.remove(request, wish);
    if (device.allows_multiple) {
      Amounts& total = sharing_[&device];
      for (const auto& [name, amount] : results_[claim].devices.back().consumed) total[name] -= amount;
      if (--sharers_[&device] == 0) sharing_.erase(&device);
    } else {
      taking_[&device].erase(claim);
    }
    if (counted_.back()) change_counters(*candidate.pool, device, false);
    counted_.pop_back();
    results_[claim].devices.pop_back();
  }

  /// What the pool's devices leave of its counters; worked out once.
  std::map<std::string, Amounts, std::less<>>& left_of(const Pool& pool) {
    const auto [at, fresh] = counters_.try_emplace(&pool, pool.counters);
    if (!fresh) return at->second;
    for (const auto* slices : {&pool.here, &pool.elsewhere})
      for (const SlicePtr& slice : *slices)
        for (const Device& device : slice->devices)
          if (!device.uses.empty() && stock_.ledger.is_used(device.id)) subtract(at->second, device, 1);
    return at->second;
  }
  static void subtract(std::map<std::string, Amounts, std::less<>>& from, const Device& device, int sign) {
    for (const CounterUse& use : device.uses) {
      Amounts& set = from[use.set];
      for (const auto& [name, amount] : use.counters) {
        if (sign > 0) set[name] -= amount;
        else set[name] += amount;
      }
    }
  }
  bool has_counters(const Pool& pool, const Device& device) {
    const auto& left = left_of(pool);
    return std::ranges::all_of(device.uses, [&](const CounterUse& use) {
      const Amounts& set = left.find(use.set)->second;
      return std::ranges::all_of(use.counters, [&](const auto& counter) { return counter.second <= set.find(counter.first)->second; });
    });
  }
  void change_counters(const Pool& pool, const Device& device, bool take) { subtract(left_of(pool), device, take ? 1 : -1); }

  Allocator& allocator_;
  Stock& stock_;
  const NodeState& node_;
  const std::vector<Pool> pools_;
  std::unordered_map<const Wish*, Work> works_;
  std::vector<std::vector<Watcher>> watchers_;                  // by claim
  std::vector<Allocation> results_;                             // by claim
  std::vector<bool> counted_;                                   // of each device taken, whether counters were
  std::unordered_map<const Device*, std::set<size_t>> taking_;  // by which claims
  std::unordered_map<const Device*, Amounts> sharing_;
  std::unordered_map<const Device*, int> sharers_;
  std::unordered_map<const Pool*, std::map<std::string, Amounts, std::less<>>> counters_;
  size_t steps_ = 0;
  std::string error_;
};

Result<bool> Allocator::selects(const Claim& claim, const Wish& wish, const DeviceClass& of, const Slice& slice, const Device& device) {
  const auto [known, fresh] = selected_.try_emplace({&device, &wish}, false);
  if (!fresh) return known->second;
  const auto all = [&](const std::vector<std::string>& selectors, const std::string& whose) -> Result<bool> {
    for (size_t i = 0; i < selectors.size(); ++i)
      if (!TRY_AS(whose + ": selector #" + std::to_string(i), stock_.selectors.match(selectors[i], slice, device))) return false;
    return true;
  };
  auto matches = all(of.selectors, "class " + of.name);
  if (matches && *matches) matches = all(wish.selectors, "claim " + claim.meta().ns + "/" + claim.meta().name);
  if (!matches) {
    selected_.erase({&device, &wish});
    return matches;
  }
  return selected_[{&device, &wish}] = *matches;
}

Result<std::optional<std::vector<Allocation>>> Allocator::allocate(const NodeState& node) { return Search(*this, node).run(); }

}  // namespace estiba::scheduler::devices
