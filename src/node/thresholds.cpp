#include "node/thresholds.h"

#include <algorithm>

#include "base/go_duration.h"
#include "base/strings.h"
#include "model/quantity.h"

namespace estiba::node {

namespace {

struct SignalRow {
  Signal signal;
  std::string_view name, resource, condition;
};
constexpr SignalRow signals[] = {
    {Signal::memory_available, "memory.available", "memory", "MemoryPressure"},
    {Signal::nodefs_available, "nodefs.available", "ephemeral-storage", "DiskPressure"},
    {Signal::nodefs_inodes_free, "nodefs.inodesFree", "inodes", "DiskPressure"},
    {Signal::imagefs_available, "imagefs.available", "ephemeral-storage", "DiskPressure"},
    {Signal::imagefs_inodes_free, "imagefs.inodesFree", "inodes", "DiskPressure"},
    {Signal::pid_available, "pid.available", "pids", "PIDPressure"},
};

const SignalRow& row_of(Signal signal) { return signals[size_t(signal)]; }

Result<Signal> parse_signal(std::string_view name) {
  std::vector<std::string> known;
  for (const SignalRow& row : signals) {
    if (row.name == name) return row.signal;
    known.emplace_back(row.name);
  }
  return fail(Code::invalid, quoted(name) + " is not a signal; there are " + join(known, ", "));
}

// `least`: what a quantity must be above (-1: zero is fine).
Result<Amount> parse_amount(std::string_view text, int64_t least) {
  Amount out{.text = std::string(text)};
  if (text.ends_with('%')) {
    const std::string_view digits = text.substr(0, text.size() - 1);
    const auto percent = digits.find_first_not_of("0123456789.") == digits.npos ? model::Quantity::parse(digits) : fail(Code::invalid, "");
    if (!percent || percent->to_double() > 100) return fail(Code::invalid, quoted(text) + " must be from 0% to 100%");
    out.share = percent->to_double() / 100;
    return out;
  }
  const auto quantity = model::Quantity::parse(text);
  if (!quantity) return fail(Code::invalid, quoted(text) + " is neither a quantity like 100Mi nor a percentage");
  out.quantity = quantity->to_int64();
  if (*out.quantity <= least) return fail(Code::invalid, quoted(text) + " must be above zero");
  return out;
}

struct Pair {
  Signal signal;
  std::string_view value;
};

// "signal<value,signal<value"
Result<std::vector<Pair>> parse_pairs(std::string_view flag, std::string_view list, char sign) {
  std::vector<Pair> out;
  if (trim(list).empty()) return out;
  for (std::string_view part : split(list, ',')) {
    const auto [name, value] = split_once(trim(part), sign);
    if (!value || trim(*value).empty())
      return fail(Code::invalid, "--" + std::string(flag) + ": " + quoted(part) + " must have the form SIGNAL" + sign + "VALUE");
    const Signal signal = TRY_AS("--" + std::string(flag), parse_signal(trim(name)));
    if (std::ranges::any_of(out, [&](const Pair& pair) { return pair.signal == signal; }))
      return fail(Code::invalid, "--" + std::string(flag) + ": " + std::string(name_of(signal)) + " is there twice");
    out.push_back({signal, trim(*value)});
  }
  return out;
}

Result<std::vector<Threshold>> parse_list(std::string_view flag, std::string_view list) {
  std::vector<Threshold> out;
  for (const Pair& pair : TRY(parse_pairs(flag, list, '<'))) {
    if (pair.value == "0%" || pair.value == "100%") continue;
    out.push_back({.signal = pair.signal,
                   .value = TRY_AS("--" + std::string(flag) + ": " + std::string(name_of(pair.signal)), parse_amount(pair.value, 0))});
  }
  return out;
}

}  // namespace

std::string_view name_of(Signal signal) { return row_of(signal).name; }
std::string_view resource_of(Signal signal) { return row_of(signal).resource; }
std::string_view condition_of(Signal signal) { return row_of(signal).condition; }

Result<std::vector<Threshold>> parse_thresholds(std::string_view hard, std::string_view soft, std::string_view grace_periods,
                                                std::string_view minimum_reclaim) {
  std::vector<Threshold> out = TRY(parse_list("eviction-hard", hard)), softer = TRY(parse_list("eviction-soft", soft));
  const std::vector<Pair> graces = TRY(parse_pairs("eviction-soft-grace-period", grace_periods, '='));
  std::map<Signal, Duration> periods;
  for (const Pair& pair : graces) {
    const auto period = parse_go_duration(pair.value);
    if (!period || *period < Duration{})
      return fail(Code::invalid, "--eviction-soft-grace-period: " + std::string(name_of(pair.signal)) +
                                     " must have a duration like 1m30s, not " + quoted(pair.value));
    periods[pair.signal] = *period;
  }
  for (Threshold& threshold : softer) {
    const auto period = periods.find(threshold.signal);
    if (period == periods.end())
      return fail(Code::invalid,
                  "--eviction-soft: " + std::string(name_of(threshold.signal)) + " needs a grace period in --eviction-soft-grace-period");
    threshold.grace = period->second;
    out.push_back(threshold);
  }
  for (const Pair& pair : TRY(parse_pairs("eviction-minimum-reclaim", minimum_reclaim, '='))) {
    const Amount least = TRY_AS("--eviction-minimum-reclaim: " + std::string(name_of(pair.signal)), parse_amount(pair.value, -1));
    for (Threshold& threshold : out)
      if (threshold.signal == pair.signal) threshold.reclaim = least;
  }
  return out;
}

std::vector<Threshold> met(const std::vector<Threshold>& thresholds, const Observations& seen, bool reclaim) {
  std::vector<Threshold> out;
  for (const Threshold& threshold : thresholds) {
    const auto found = seen.find(threshold.signal);
    if (found == seen.end()) continue;
    const auto& [available, capacity] = found->second;
    int64_t line = threshold.value.of(capacity);
    if (reclaim && threshold.reclaim) line += threshold.reclaim->of(capacity);
    if (available < line) out.push_back(threshold);
  }
  return out;
}

std::vector<Threshold> Pressure::look(const Observations& seen, Instant now) {
  std::vector<Threshold> short_of = met(thresholds_, seen, false);
  // What has been acted upon stays until it is away from its line by the minimum to reclaim.
  for (const Threshold& threshold : met(acting_, seen, true))
    if (std::ranges::find(short_of, threshold) == short_of.end()) short_of.push_back(threshold);
  std::vector<Since> since;
  acting_.clear();
  for (const Threshold& threshold : short_of) {
    const auto before = std::ranges::find(since_, threshold, &Since::threshold);
    since.push_back({threshold, before == since_.end() ? now : before->at});
    last_seen_[condition_of(threshold.signal)] = now;
    if (now - since.back().at >= threshold.grace) acting_.push_back(threshold);
  }
  since_ = std::move(since);
  conditions_.clear();
  for (const auto& [condition, at] : last_seen_)
    if (at == now || now - at < transition_) conditions_.push_back(condition);
  std::ranges::sort(conditions_);
  std::vector<Threshold> out = acting_;
  std::ranges::stable_sort(out, {}, [](const Threshold& threshold) { return threshold.signal != Signal::memory_available; });
  return out;
}

bool Pressure::has(std::string_view condition) const { return std::ranges::find(conditions_, condition) != conditions_.end(); }

Instant Pressure::next_change(Instant now) const {
  Instant next = Instant::max();
  for (const auto& [condition, at] : last_seen_)
    if (at + transition_ > now && has(condition)) next = std::min(next, at + transition_);
  for (const Since& since : since_)
    if (since.at + since.threshold.grace > now) next = std::min(next, since.at + since.threshold.grace);
  return next;
}

}  // namespace estiba::node
