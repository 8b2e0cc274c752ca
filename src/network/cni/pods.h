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
#include "network/pod_links.h"

namespace estiba::network::cni {

class Pods final : public PodLinks {
 public:
  struct Config {
    std::string run_dir, data_dir;
    std::string configurations;        ///< the folder of lists
    std::vector<std::string> plugins;  ///< the folders of plugins
  };
  explicit Pods(Config config) : config_(std::move(config)) {}

  /// Reads the records. What a crash or a reboot has left half done goes at the next sweep() or attach(), and so do networks of pods
  /// whose interface or address is gone: they begin anew. Of what plugins find fault with (CHECK) it is told.
  Result<void> start() override;
  /// For a node that goes back to another network: the plugins take away what there still is by the records below `data_dir`. Those that
  /// fail are told of, and stay. A plugin's bridge that nobody is on any more goes too if its addresses are in `ranges`, which are
  /// another's now.
  static Result<void> remove_left(Config config, std::vector<Prefix> ranges);
  /// unavailable while no list can be used.
  Result<PodNet> attach(const PodRequest& pod) override;
  /// What the plugins could not take away now is tried again by sweep(): a pod's end does not wait for it.
  Result<void> detach(const std::string& uid) override;
  /// False when there was nothing to remove.
  Result<bool> sweep() override;
  Result<void> remove_all() override;
  /// Tells the plugins which pods there are, so that they drop what belongs to none (GC, since 1.1.0).
  Result<void> collect_garbage() override;

  /// Whether pods could be connected now.
  Result<void> status() override;
  std::vector<PodRequest> pods() const override;
  std::optional<PodNet> find(std::string_view uid) const override;
  /// Whether plugins lead host ports to pods themselves.
  bool maps_ports(std::string_view uid) const override;
  int threads() const override { return 4; }
  std::optional<Duration> try_again() const override { return std::chrono::seconds(10); }

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
  Result<void> read_records();
  void check_all();
  Result<void> take_away(const std::string& uid);
  Result<void> remove_strays();

  const Config config_;
  mutable std::mutex mutex_;
  std::condition_variable freed_;
  std::map<std::string, Known, std::less<>> known_;  // guarded by mutex_
  std::set<std::string, std::less<>> busy_;          // guarded by mutex_
};

}  // namespace estiba::network::cni
