// Keeps the node's packet filter as the cluster's Services and EndpointSlices say. Lives on the loop's thread; the kernel
// is written to by a Worker. Changes that come while one is being written are written together next.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/task.h"
#include "network/proxy/table.h"
#include "network/service_objects.h"
#include "network/worker.h"

namespace estiba::network {

class Proxy {
 public:
  /// A table for each side. `objects` outlives the Proxy.
  Proxy(const std::string& bridge, const std::vector<Side>& sides, std::string node_name, ServiceObjects& objects);
  ~Proxy();
  Proxy(const Proxy&) = delete;

  /// Makes the tables that are missing. One that is there goes on working until the lists have come, and is then replaced
  /// in one transaction; one of a family that the node has no more goes.
  Task<Result<void>> start();
  /// True once the tables say what the lists say.
  bool ready() const { return ready_.is_set(); }
  Task<void> wait_ready();

  /// Leads ports of the node to a pod; none takes them away.
  void set_host_ports(const std::string& uid, const std::vector<HostPort>& ports, const std::vector<Address>& pod);
  /// Somebody else has changed the tables: they are written whole again.
  void rewrite();
  /// Where changes of ours come from.
  uint32_t port() const { return socket_.port(); }
  /// Ends the watching; the tables stay.
  void stop();
  Task<Result<void>> remove_all();

 private:
  /// One family's.
  struct Half {
    bool v6 = false;
    ProxyTable table;
    ProxyState state;
    bool whole = true;  ///< the next write replaces the table
  };

  Task<void> run();
  Task<bool> write();
  Task<bool> write(Half* half);
  Task<void> forget_flows(bool v6, const Change& change);
  Task<void> forget_stale_flows(const Half* half);
  void refresh(const std::string& service);
  void set(const std::string& owner, std::vector<Entry> entries);

  std::vector<Half> halves_;
  std::string node_name_;
  ServiceObjects& objects_;
  std::set<std::string> dirty_;
  bool broken_ = false;  // all are to be replaced
  Event wake_, ready_;
  os::netlink::Socket socket_;  // used by the worker's thread only
  Worker worker_;
  Job job_;  // last: ends first
};

}  // namespace estiba::network
