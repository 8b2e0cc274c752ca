// Docker's networks: bridge, host, none and those that users make; the containers in them, their names and their published ports.
//
//   Networks networks({.data_dir = …, .run_dir = …}, loop);
//   co_await networks.start();                       // bridges and rules are there, as an earlier run left them or as a reboot lost them
//   co_await networks.recover(ids of what runs);     // what belongs to nobody goes
//   auto box = co_await networks.attach({.container_id = id, .container_name = "web", .endpoints = {{.network = "red"}}, .ports = …});
//   … run the container in box->netns_path, with networks.resolv_conf(id) as its /etc/resolv.conf …
//   co_await networks.release(id);                   // at its end
//   co_await networks.stop();                        // running containers keep their networks
//
// A container that does not run has nothing here: which networks it is to have is its own record's business. Every call is made on the
// executor's thread; kernel work happens on threads of the Networks' own. Calls that change something run one after the other, and to
// their end even when the awaiting task is dropped; what fails is undone.
//
// Errors are in Docker's words and codes: not_found 404, conflict and already_exists 409, forbidden 403, invalid 400.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "base/result.h"
#include "base/task.h"
#include "network/bridge/types.h"

namespace estiba::network::bridge {

struct Options {
  std::string data_dir = "/var/lib/estiba";  ///< networks, in docker/networks/
  std::string run_dir = "/run/estiba";       ///< namespaces and what runs, in docker/; gone after a reboot, as they are
  std::string bridge = "estibad0";           ///< of the network "bridge"
  std::vector<std::string> avoid;            ///< prefixes that no network may be given by choice, such as the cluster's
  std::string resolv_conf = "/etc/resolv.conf";
  unsigned pool = 4;  ///< sandboxes made ahead of need
};

class Networks {
 public:
  Networks(Options options, Executor& executor);
  ~Networks();
  Networks(const Networks&) = delete;

  Task<Result<void>> start();
  /// Drops the sandboxes of containers that are not in `running`, and opens again what the others need of this process (names, held
  /// ports). Call once after start(), when it is known which containers live.
  Task<Result<void>> recover(std::vector<std::string> running);
  /// Ends names and watches; containers that run keep their networks. Without any, the rules and bridges go.
  Task<Result<void>> stop();

  // Networks.
  Task<Result<NetworkInfo>> create(NetworkSpec spec);
  Task<Result<void>> remove(std::string name_or_id);
  /// With the containers in each; predefined ones too.
  std::vector<NetworkInfo> list() const;
  /// By id, name or the beginning of an id: "network x not found", or "network x is ambiguous (2 matches found on ID prefix)".
  Result<NetworkInfo> find(std::string_view name_or_id) const;

  // Containers.
  /// Everything at once, as the container starts. A port that is taken:
  /// "driver failed programming external connectivity on endpoint web (…): Bind for 0.0.0.0:8080 failed: port is already allocated".
  Task<Result<SandboxInfo>> attach(SandboxSpec spec);
  /// A running container comes into one more network, or leaves one. Rewrite its resolv.conf afterwards.
  Task<Result<EndpointInfo>> connect(std::string container_id, EndpointSpec endpoint);
  Task<Result<void>> disconnect(std::string container_id, std::string network);
  /// Success when there is nothing. Ports are free at once, the rest goes soon.
  Task<Result<void>> release(std::string container_id);
  /// The name by which others find it changes.
  Task<Result<void>> rename(std::string container_id, std::string name);
  /// Of a running container.
  std::optional<SandboxInfo> sandbox(std::string_view container_id) const;

  // Files.
  /// What the running container's /etc/resolv.conf says.
  std::string resolv_conf(std::string_view container_id) const;
  /// The same for one with the host's network.
  std::string host_resolv_conf(const DnsSettings& dns) const;
  /// What "host-gateway" means in --add-host: the address of the default bridge, "172.17.0.1".
  std::string host_gateway() const;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace estiba::network::bridge
