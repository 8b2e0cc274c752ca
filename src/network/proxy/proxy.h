// Keeps the node's packet filter as the cluster's Services and EndpointSlices say. Lives on the loop's thread; the kernel
// is written to by a Worker. Changes that come while one is being written are written together next.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/task.h"
#include "client/informer.h"
#include "network/proxy/table.h"
#include "network/worker.h"

namespace estiba::network {

class Proxy {
 public:
  /// The informers outlive the Proxy.
  Proxy(ProxyTable::Config config, std::string node_name, client::Informer& services, client::Informer& slices);
  ~Proxy();
  Proxy(const Proxy&) = delete;

  /// Makes the table if there is none. One that is there goes on working until the lists have come, and is then replaced
  /// in one transaction.
  Task<Result<void>> start();
  /// True once the table says what the lists say.
  bool ready() const { return ready_.is_set(); }
  Task<void> wait_ready();

  /// Leads ports of the node to a pod; none takes them away.
  void set_host_ports(const std::string& uid, const std::vector<HostPort>& ports, const Address& pod);
  /// Ends the watching; the table stays.
  void stop();
  Task<Result<void>> remove_all();

 private:
  Task<void> run();
  Task<bool> write();
  Task<void> forget_flows(const Change& change);
  Task<void> forget_stale_flows();
  void refresh(const std::string& service);
  void mark(const std::string& service);
  client::Informer::Index by_service();
  static std::string service_of(const model::Meta& slice);

  ProxyTable table_;
  std::string node_name_;
  client::Informer& services_;
  client::Informer& slices_;
  client::Informer::Index slices_by_service_;
  ProxyState state_;
  std::set<std::string> dirty_;
  bool whole_ = true;  // the next write replaces the table
  Event wake_, ready_;
  os::netlink::Socket socket_;  // used by the worker's thread only
  Worker worker_;
  Job job_;  // last: ends first
};

}  // namespace estiba::network
