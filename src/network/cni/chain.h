// The plugins of a network configuration list, run one after another for one pod (CNI specification 1.1, sections 2 to 5).
//
//   ADD     first to last; each is given what the one before answered (prevResult)
//   DEL     last to first, with what ADD answered in the end
//   CHECK   first to last, with that too
//   STATUS  whether the plugins could take a pod now; GC: which attachments are valid, so that the rest may go
//
// All calls block: plugins are programs. Errors name the network and the plugin, and carry its own words; what a plugin says may be tried
// again later (code 11) is Code::unavailable.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "network/cni/config.h"
#include "network/pod_net.h"

namespace estiba::network::cni {

/// Where a pod is to be connected.
struct Attachment {
  std::string container_id;  ///< names the attachment, with the interface
  std::string netns_path;    ///< empty: it is gone (DEL only)
  std::string interface_name = "eth0";
  std::vector<std::pair<std::string, std::string>> args;  ///< CNI_ARGS
  std::vector<HostPort> host_ports;                       ///< for plugins with the capability portMappings
  Bandwidth bandwidth = {};                               ///< for those with the capability bandwidth
};

/// What the plugins answered in the end.
struct Outcome {
  std::string text;              ///< the result itself, JSON
  std::vector<std::string> ips;  ///< of the pod's interface, without their prefix lengths; at least one
  std::string mac, gateway;      ///< empty where nothing is said of it
};
Result<Outcome> parse_outcome(std::string text, std::string_view interface_name);

class Chain {
 public:
  /// `folders` are searched for the plugins in order.
  Chain(NetworkList list, std::vector<std::string> folders) : list_(std::move(list)), folders_(std::move(folders)) {}
  const NetworkList& list() const { return list_; }

  /// When a plugin fails, all are told to take away what there may be of it.
  Result<Outcome> add(const Attachment& attachment) const;
  /// `result`: what add() answered, or empty. Success when there is nothing any more.
  Result<void> remove(const Attachment& attachment, const std::string& result) const;
  /// not supported by lists before 0.4.0, or with disableCheck: success.
  Result<void> check(const Attachment& attachment, const std::string& result) const;
  /// Whether all plugins are there, and (since 1.1.0) ready.
  Result<void> status() const;
  /// Everything of the network that is not of these containers' eth0 may go (since 1.1.0).
  Result<void> collect_garbage(const std::vector<std::string>& container_ids) const;

 private:
  Result<std::string> find(const Plugin& plugin) const;
  Result<std::string> run(const char* command, const Plugin& plugin, const Attachment& attachment, const std::string& previous,
                          const std::vector<std::string>* valid = nullptr) const;

  NetworkList list_;
  std::vector<std::string> folders_;
};

}  // namespace estiba::network::cni
