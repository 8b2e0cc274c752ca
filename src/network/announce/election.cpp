#include "network/announce/election.h"

#include <algorithm>

#include "base/strings.h"

namespace estiba::network::announce {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr Duration claim_interval = seconds(1), ask_interval = seconds(1);
constexpr Duration substitutes_interval = seconds(5);
constexpr int claims_at_first = 5, questions = 3;
// Watches of two nodes tell the same a moment apart: a rival may be about to give up.
constexpr Duration contest_delay = seconds(1);
// A rival who claims later than that has heard our own claim, and who does within `insistence` insists.
constexpr Duration in_flight = milliseconds(300), insistence = seconds(10);

// FNV alone leaves texts that differ in their last letters close together (MurmurHash3's finalizer spreads them).
uint64_t score(std::string_view node, const Address& address) {
  uint64_t hash = fnv1a64(address.text() + "#" + std::string(node));
  hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdull;
  hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53ull;
  return hash ^ hash >> 33;
}

}  // namespace

std::optional<size_t> rank_of(std::string_view own, const std::vector<std::string>& nodes, const Address& address) {
  if (!std::ranges::contains(nodes, own)) return {};
  const auto mine = std::pair(score(own, address), own);
  return size_t(std::ranges::count_if(
      nodes, [&](const std::string& node) { return std::pair(score(node, address), std::string_view(node)) > mine; }));
}

Duration Election::interval() const { return ask_interval * int64_t(std::max<size_t>(rank_.value_or(1), 1)); }

void Election::begin(Instant now) {
  announcing_ = true;
  yielded_ = false;
  claims_ = claims_at_first;
  next_ = now;
  contest_.reset();
  insisted_.reset();
}

void Election::stand_by(Instant now) {
  announcing_ = false;
  unanswered_ = 0;
  contest_.reset();
  next_ = now + interval();
}

void Election::set_rank(std::optional<size_t> rank, Instant now) {
  if (rank == rank_) return;
  rank_ = rank;
  yielded_ = yielded_ && rank == 0u;
  if (!rank_) {
    announcing_ = false;
    other_.reset();
    contest_.reset();
  } else if (announcing_) {
    // Goes on until the one who is to has claimed it, so that there is no gap.
    if (*rank_ > 0 && claims_ == 0) next_ = now + substitutes_interval;
  } else if (*rank_ == 0 && !yielded_) {
    begin(now);
  } else {
    stand_by(now);
  }
}

void Election::heard(bool claimed, const Mac& from, Instant now) {
  if (!rank_) return;
  other_ = from;
  if (!announcing_) return stand_by(now);
  if (!claimed) return;
  if (*rank_ > 0) return stand_by(now);
  if (contest_ || (insisted_ && now < *insisted_ + in_flight)) return;
  contest_ = now + contest_delay;
  rival_ = from;
}

std::optional<Instant> Election::next() const {
  if (!rank_) return {};
  if (!announcing_ || claims_ > 0 || *rank_ > 0) return contest_ ? std::min(*contest_, next_) : next_;
  return contest_;
}

Election::Act Election::act(Instant now) {
  if (!rank_) return Act::nothing;
  if (!announcing_) {
    if (now < next_) return Act::nothing;
    if (unanswered_ < questions) {
      ++unanswered_;
      next_ = now + interval();
      return Act::ask;
    }
    other_.reset();
    begin(now);
  }
  if (contest_ && now >= *contest_) {
    contest_.reset();
    if (insisted_ && now < *insisted_ + insistence && rival_ < own_) {
      yielded_ = true;
      stand_by(now);
      return Act::nothing;
    }
    insisted_ = now;
    return Act::claim;
  }
  if ((claims_ == 0 && *rank_ == 0) || now < next_) return Act::nothing;
  if (claims_ > 0) --claims_;
  next_ = now + (claims_ > 0 ? claim_interval : substitutes_interval);
  return Act::claim;
}

}  // namespace estiba::network::announce
