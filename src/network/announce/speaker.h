// Announces load balancers' addresses on this machine's links, each while this node is the one who is to (election.h), and answers those
// who ask for them. The addresses are on no link: what is sent to them comes to this machine by its Ethernet address and is led to
// endpoints by the packet filter. Lives on the loop's thread and is there only while there are such addresses.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/task.h"
#include "client/informer.h"
#include "network/announce/election.h"
#include "network/worker.h"
#include "os/rtnl.h"

namespace estiba::network::announce {

/// An address that is to be announced.
struct Announced {
  std::string service;  ///< "ns/name"
  /// Only nodes of these names may announce it; nothing: every one that takes part in balancing.
  std::optional<std::set<std::string>> nodes;
  bool operator==(const Announced&) const = default;
};

class Speaker {
 public:
  /// `began` is told of each address that this node begins to announce.
  Speaker(std::string node_name, client::Client& client, UniqueFunction<void(const std::string& service, const Address& address)> began);
  ~Speaker();
  Speaker(const Speaker&) = delete;

  void start();
  /// All addresses that are to be announced.
  void set(std::map<Address, Announced> addresses);

 private:
  struct Machine;
  /// What is heard on one link of one family.
  struct Ear {
    Mac mac{};
    Address own;  // an address of the machine there, or zero
    Fd fd;
    Job listening;
  };
  struct Voice {
    int link = 0;   // 0: there is none that leads to the address
    Fd membership;  // of the group at which an IPv6 address is asked for
    std::optional<Election> election;
    bool told = false;  // that it is announced
  };
  using Place = std::pair<int, bool>;  // link, IPv6

  Task<void> run();
  Task<void> follow(int fd);
  Task<void> listen(Place place, int fd);
  void look_around();
  void place(const Address& address, Voice& voice, const Machine& machine);
  Ear* ear_at(const Place& place, const Machine& machine);
  void rank();
  void act();
  void hear(const Place& place, std::string_view frame);
  void send(const Place& place, const std::string& frame);
  std::optional<Instant> next() const;

  const std::string node_name_;
  client::Informer nodes_;
  UniqueFunction<void(const std::string&, const Address&)> began_;
  std::map<Address, Announced> addresses_;
  std::map<Address, Voice> voices_;
  std::map<Place, Ear> ears_;
  bool moved_ = true;  // links, addresses or routes of the machine may have changed
  Event wake_;
  Worker worker_;
  Job running_;
  std::vector<std::pair<Fd, Job>> following_;
};

}  // namespace estiba::network::announce
