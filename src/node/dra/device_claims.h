// DeviceClaims: gives pods the devices of their ResourceClaims, by the drivers that have registered on this node (Dynamic Resource
// Allocation, KEP 4381; the kubelet's DRA manager, pkg/kubelet/cm/dra).
//
// Before a pod's containers are made, the drivers of its claims prepare the devices (NodePrepareResources) and name them by CDI; when its
// containers have ended, and before that is told to the API, they put them away again. Which pods have what is written down first, in
// <file>, so that a restart loses nothing.
//
// ResourceSlices of this node whose driver is not here for half a minute are deleted: nothing of them can be had. On the node's thread.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/task.h"
#include "client/client.h"
#include "client/resource_claims.h"
#include "io/pool.h"
#include "model/types/core_v1.h"
#include "node/dra/claim_turns.h"
#include "node/dra/driver.h"
#include "node/dra/prepared.h"
#include "node/plugins/registry.h"

namespace estiba::node {

class DeviceClaims {
 public:
  DeviceClaims(std::string file, std::string node_name, client::Client& client, Executor& executor);
  ~DeviceClaims();
  DeviceClaims(const DeviceClaims&) = delete;

  /// Reads which pods had what; before anything of a pod is looked at. An error leaves it at nothing.
  Result<void> load();
  /// Looks now and then for what is to be put away or deleted. Once there is a Node.
  void start();
  void stop();
  /// Takes the drivers that register.
  PluginRegistry::Handler registry_handler();
  /// Which pods, by uid, are to keep what they have; others' devices are put away now and then. nullopt while not all pods are known.
  void on_living(std::function<std::optional<std::set<std::string>>()> living) { living_ = std::move(living); }
  /// Calls when a device of the pod, by uid, is in another state of health.
  void on_health(std::function<void(const std::string& pod_uid)> changed) { health_changed_ = std::move(changed); }
  /// Calls when a driver can be asked that could not be before.
  void on_driver(std::function<void()> here) { driver_here_ = std::move(here); }

  /// Has all devices of the pod's claims prepared; those that are prepared, for whichever pod, by this run of the server are not asked for
  /// again. The claims must be allocated and reserved for the pod, and all drivers be here: otherwise the pod has none. Errors name the
  /// claim and the driver.
  Task<Result<void>> prepare(model::ObjectRef pod);
  /// Has the devices put away that nobody else uses.
  Task<Result<void>> unprepare(std::string pod_uid);
  bool has(const std::string& pod_uid) const { return claims_.has(pod_uid); }
  /// Whether drivers have named the devices of all claims of the pod, by this run of the server or an earlier one.
  bool has_all(const model::ObjectRef& pod) const;

  /// The CDI names of the devices that a container is to have (resources.claims). Code::not_found names a claim that is not prepared.
  Result<std::vector<std::string>> cdi_devices(const model::ObjectRef& pod, const model::core_v1::Container& container) const;
  /// Adds to containers' statuses how the devices of their claims are (allocatedResourcesStatus, KEP 4680).
  void add_health(const model::ObjectRef& pod, model::core_v1::PodStatus& status) const;

 private:
  struct State {
    dra_api::Health health = dra_api::Health::unknown;
    std::string message;
    Instant known_until{};
  };
  using DeviceKey = std::tuple<std::string, std::string, std::string>;  // driver, pool, device
  using Batches = std::map<std::string, std::vector<dra_api::Claim>>;

  static Task<Result<void>> take(DeviceClaims* self, RegisteredPlugin plugin);
  void gone(const RegisteredPlugin& plugin);
  std::shared_ptr<DraDriver> driver(const std::string& name) const;
  bool is_here(const std::string& name) const;
  void look_later(const std::string& name);
  static Task<void> wipe_later(DeviceClaims* self, std::string name);
  Task<void> wipe(std::string name);
  static Task<void> put_away(DeviceClaims* self);
  void note_health(const std::string& driver, const std::vector<dra_api::DeviceHealth>& devices);
  static Task<void> forget_health(DeviceClaims* self, std::string driver);
  void tell_users(const std::string& driver);
  Task<Result<PreparedClaim>> look_up(model::ObjectRef pod, client::PodClaim each);
  Result<void> check(const PreparedClaim& wanted) const;
  Task<Result<void>> ask(std::string driver, std::vector<dra_api::Claim> claims);
  Result<void> save() const;

  const std::string file_, node_name_;
  client::Client& client_;
  Executor& executor_;
  PreparedClaims claims_;
  ClaimTurns turns_;
  std::map<std::string, std::vector<std::shared_ptr<DraDriver>>> drivers_;  // by name; the newest last
  std::map<DeviceKey, State> health_;
  std::function<std::optional<std::set<std::string>>()> living_;
  std::function<void(const std::string&)> health_changed_;
  std::function<void()> driver_here_;
  Job putting_away_;
  std::map<std::string, Job> forgetting_;  // by driver
  TaskGroup tasks_;                        // last: they use the rest
};

}  // namespace estiba::node
