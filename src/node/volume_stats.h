// How full the volumes of the node's pods are, as their drivers say it, for GET /stats/summary and GET /metrics. Drivers are asked when
// somebody wants to know, each volume once a minute at most; one that does not answer holds nobody up for longer than two seconds. On the
// node's thread.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "client/json_writer.h"
#include "node/csi/volumes.h"

namespace estiba::node {

class VolumeStats {
 public:
  struct Entry {
    CsiVolumes::Mounted volume;
    CsiVolumes::Stats stats;
    WallTime at{};
  };
  explicit VolumeStats(const Context& context) : context_(context) {}

  /// What is known after two seconds at most; volumes of which nothing is known are left out.
  Task<std::vector<Entry>> read();
  /// The kubelet's families kubelet_volume_stats_*, of volumes that have a claim; empty without any.
  Task<std::string> metrics();

 private:
  using Key = std::pair<std::string, std::string>;  // the pod's uid, the volume's name in it
  static Task<void> ask(VolumeStats* self, CsiVolumes::Mounted volume);

  const Context& context_;
  std::map<Key, Entry> known_;
  std::set<Key> asking_;
  Event answered_;
  TaskGroup tasks_;  // last: they use the rest
};

/// The list "volume" of a pod in the summary (the kubelet's stats/v1alpha1 VolumeStats); nothing for pods without any.
void put_volumes(client::JsonWriter& json, const std::vector<VolumeStats::Entry>& entries, const std::string& pod_uid);

}  // namespace estiba::node
