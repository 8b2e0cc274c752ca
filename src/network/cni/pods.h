// Pods' networks as CNI plugins make them: each pod has a namespace of ours, which the plugins connect.
//
// A pod's record is on disk before its namespace is made and until the plugins have taken everything away, on the data disk: what they have
// given (addresses, rules) may outlive a reboot, so their DEL is due even then. It holds the configuration that ADD was given, as DEL has
// to be given the same however the file has changed since (<data_dir>/network/cni/<uid>, JSON).
//
// Calls block; any threads. For one pod they wait for each other, several pods' plugins run at once.
#pragma once
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "network/cni/chain.h"
#include "network/ipam.h"

namespace estiba::network::cni {

class Pods {
 public:
  struct Config {
    std::string run_dir, data_dir;
    std::string configurations;        ///< the folder of lists
    std::vector<std::string> plugins;  ///< the folders of plugins
  };
  explicit Pods(Config config) : config_(std::move(config)) {}

  /// Reads the records. What a crash or a reboot has left half done goes at the next sweep() or attach().
  Result<void> start();
  /// unavailable while no list can be used.
  Result<PodNet> attach(const PodRequest& pod);
  /// What the plugins could not take away now is tried again by sweep(): a pod's end does not wait for it.
  Result<void> detach(const std::string& uid);
  /// False when there was nothing to remove.
  Result<bool> sweep();
  Result<void> remove_all();
  /// Tells the plugins which pods there are, so that they drop what belongs to none (GC, since 1.1.0).
  Result<void> collect_garbage() const;

  /// Whether pods could be connected now.
  Result<void> status() const;
  std::vector<PodRequest> pods() const;
  std::optional<PodNet> find(std::string_view uid) const;
  /// Whether plugins lead host ports to pods themselves.
  bool maps_ports(std::string_view uid) const;

 private:
  struct Known {
    Record record;
    std::string file, list, result;  ///< the list's text as ADD was given it, and what it answered
    PodNet net;
    bool maps_ports = false;
  };
  class Claim;
  std::string record_path(const std::string& uid) const { return config_.data_dir + "/network/cni/" + uid; }
  std::string netns_path(const std::string& uid) const { return config_.run_dir + "/netns/" + uid; }
  std::string userns_path(const std::string& uid) const { return config_.run_dir + "/userns/" + uid; }
  PodNet describe(const std::string& uid, const Outcome& outcome) const;
  Result<void> write(const std::string& uid, const Known& known);
  Result<Known> read(const std::string& uid) const;
  std::optional<Known> known(const std::string& uid) const;
  Attachment attachment_of(const PodRequest& pod) const;
  Result<void> make_namespace(const PodRequest& pod);
  Result<void> take_away(const std::string& uid);
  Result<void> remove_strays();

  const Config config_;
  mutable std::mutex mutex_;
  std::condition_variable freed_;
  std::map<std::string, Known, std::less<>> known_;  // guarded by mutex_
  std::set<std::string, std::less<>> busy_;          // guarded by mutex_
};

}  // namespace estiba::network::cni
