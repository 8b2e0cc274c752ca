#include "node/volume_stats.h"

#include <algorithm>

#include "base/time.h"
#include "node/metric_text.h"

namespace estiba::node {

using namespace std::chrono_literals;

namespace {
constexpr Duration ask_again = 1min, patience = 2s;
}  // namespace

Task<void> VolumeStats::ask(VolumeStats* self, CsiVolumes::Mounted volume) {
  const Key key{volume.pod_uid, volume.name};
  auto stats = co_await self->context_.csi->stats(volume.pod_uid, volume.volume);
  self->asking_.erase(key);
  self->known_.erase(key);
  if (stats) self->known_[key] = {std::move(volume), *stats, self->context_.loop.wall_now()};
  self->answered_.set();
}

Task<std::vector<VolumeStats::Entry>> VolumeStats::read() {
  std::vector<Entry> out;
  if (!context_.csi) co_return out;
  const std::vector<CsiVolumes::Mounted> mounted = context_.csi->mounted();
  std::set<Key> there, asked;
  for (const CsiVolumes::Mounted& volume : mounted) {
    const Key key{volume.pod_uid, volume.name};
    there.insert(key);
    const auto known = known_.find(key);
    if (asking_.contains(key) || (known != known_.end() && context_.loop.wall_now() - known->second.at < ask_again)) continue;
    asking_.insert(key);
    asked.insert(key);
    tasks_.start(ask(this, volume));
  }
  const Instant end = context_.loop.now() + patience;
  while (std::ranges::any_of(asked, [&](const Key& key) { return asking_.contains(key); })) {
    answered_.reset();
    if (!co_await answered_.wait_until(end)) break;
  }
  std::erase_if(known_, [&](const auto& item) { return !there.contains(item.first); });
  for (const auto& [key, entry] : known_) out.push_back(entry);
  co_return out;
}

Task<std::string> VolumeStats::metrics() {
  std::vector<Entry> entries = co_await read();
  std::erase_if(entries, [](const Entry& entry) { return entry.volume.claim.empty(); });
  if (entries.empty()) co_return std::string();
  MetricText text;
  const auto family = [&](std::string_view name, std::string_view help, auto value) {
    text.family("kubelet_volume_stats_" + std::string(name), "gauge", help);
    for (const Entry& entry : entries)
      text.row({{"namespace", entry.volume.ns}, {"persistentvolumeclaim", entry.volume.claim}}, double(value(entry.stats)));
  };
  using Stats = CsiVolumes::Stats;
  family("capacity_bytes", "Capacity in bytes of the volume", [](const Stats& stats) { return stats.bytes.total; });
  family("available_bytes", "Number of available bytes in the volume", [](const Stats& stats) { return stats.bytes.available; });
  family("used_bytes", "Number of used bytes in the volume", [](const Stats& stats) { return stats.bytes.used; });
  family("inodes", "Maximum number of inodes in the volume", [](const Stats& stats) { return stats.inodes.total; });
  family("inodes_free", "Number of free inodes in the volume", [](const Stats& stats) { return stats.inodes.available; });
  family("inodes_used", "Number of used inodes in the volume", [](const Stats& stats) { return stats.inodes.used; });
  co_return text.take();
}

void put_volumes(client::JsonWriter& json, const std::vector<VolumeStats::Entry>& entries, const std::string& pod_uid) {
  const auto ours = [&](const VolumeStats::Entry& entry) { return entry.volume.pod_uid == pod_uid; };
  if (std::ranges::none_of(entries, ours)) return;
  json.array("volume");
  for (const VolumeStats::Entry& entry : entries) {
    if (!ours(entry)) continue;
    const auto& [bytes, inodes] = entry.stats;
    json.object().field("time", format_rfc3339(entry.at)).field("availableBytes", bytes.available).field("capacityBytes", bytes.total);
    json.field("usedBytes", bytes.used).field("inodesFree", inodes.available).field("inodes", inodes.total);
    json.field("inodesUsed", inodes.used).field("name", entry.volume.name);
    if (!entry.volume.claim.empty()) json.object("pvcRef").field("name", entry.volume.claim).field("namespace", entry.volume.ns).end();
    json.end();
  }
  json.end();
}

}  // namespace estiba::node
