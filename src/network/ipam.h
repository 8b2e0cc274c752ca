// Which addresses of the node's part of the pods' ranges are in use, and the record of each on disk. With a part of each family an address
// of the first one, the primary, comes with that of the same number of the other: one record is for both.
//
// Invariants:
//  1. An address is handed out only after its record is on disk, and given back only after its record is gone: after a
//     crash at any instant the records tell all that may exist in the kernel.
//  2. Addresses are handed out in a circle, so that one that has just been freed comes last.
//
// On disk, below <run_dir>/network/ (on tmpfs, as namespaces do not outlive a reboot either):
//   addresses/<ip>   lines "key value": state partial|pool|pod, uid, pod <ns>/<name>, port <tcp|udp|sctp> <host> <pod> [<host ip>],
//                    bandwidth <ingress> <egress>, also <ip of the other family>
//   last             the address handed out last
#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "network/address.h"
#include "network/pod_net.h"

namespace estiba::network {

struct Record {
  /// partial: being made or removed; what there is of it goes
  enum class State : uint8_t { partial, pool, pod };
  State state = State::partial;
  PodRequest pod;             ///< of State::pod
  std::vector<Address> also;  ///< of the other family; Ipam::take() chooses it, and it stays

  std::string text() const;
  static Result<Record> parse(std::string_view text);
};

class Ipam {
 public:
  /// `parts` is one, or one of each family. The first address of each is the gateway's; network and broadcast address are never given.
  Ipam(std::vector<Prefix> parts, std::string dir) : parts_(std::move(parts)), dir_(std::move(dir)) {}

  /// Makes the directory and reads the records. A record that cannot be read comes back as State::partial.
  Result<void> load();
  /// A free primary address, recorded as State::partial. exhausted when all are in use.
  Result<Address> take();
  /// Record::also stays as it is.
  Result<void> update(const Address& address, Record record);
  Result<void> release(const Address& address);

  /// Those that go with a primary one, it first.
  std::vector<Address> all_of(const Address& primary) const;
  const std::map<Address, Record>& records() const { return records_; }

 private:
  std::string path(const Address& address) const { return dir_ + "/addresses/" + address.text(); }

  uint64_t size() const;

  std::vector<Prefix> parts_;
  std::string dir_;
  uint64_t last_ = 1;  // the number within the parts handed out last
  std::map<Address, Record> records_;
};

}  // namespace estiba::network
