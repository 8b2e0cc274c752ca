// Which one of several nodes announces an address, without a word between them but those that everybody on a link understands.
//
// From the API's objects each node computes the same order of those that may announce the address (rank_of). The first one does. The
// others ask for the address, as anybody would, the second each second, the third every two, and so on, so that the questions of many nodes
// are few; they know the Ethernet address of the one who answered last and ask nobody else. Who gets no answer three times takes over. So
// a node's loss is noticed by the next one in three seconds, and with that one lost too by the one behind it, whatever has become of the
// API server meanwhile.
//
// Nodes may be of different opinions for a while, or on parts of a link that have lost each other. A node of a lower rank gives way to any
// claim, and claims again and again while it announces, so that one who goes before it claims the address back. Of two that both believe to
// be the first the one with the lesser Ethernet address stays, after both have claimed the address twice.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/executor.h"
#include "network/announce/frames.h"

namespace estiba::network::announce {

/// The place of `own` in the address's order of `nodes`, from 0; nothing: it is none of them. The order is by a hash of address and node,
/// so that addresses are spread over nodes, and a node that comes or goes changes nothing for others' (rendezvous hashing).
std::optional<size_t> rank_of(std::string_view own, const std::vector<std::string>& nodes, const Address& address);

/// One node's part in one address. It does nothing by itself: it is told what is heard and what time it is.
class Election {
 public:
  explicit Election(const Mac& own) : own_(own) {}

  enum class Act : uint8_t { nothing, claim, ask };
  /// The node's place; nothing: it may not announce the address.
  void set_rank(std::optional<size_t> rank, Instant now);
  /// Another machine has claimed the address, or has answered for it.
  void heard(bool claimed, const Mac& from, Instant now);

  bool announcing() const { return announcing_; }
  /// Who answered last, as far as it is known.
  const std::optional<Mac>& other() const { return other_; }
  /// When act() wants to be called; nothing: not before something happens.
  std::optional<Instant> next() const;
  /// What is to be done now, if next() is not later.
  Act act(Instant now);

 private:
  void begin(Instant now);
  void stand_by(Instant now);
  Duration interval() const;

  Mac own_;
  std::optional<size_t> rank_;
  bool announcing_ = false;
  bool yielded_ = false;  // the first, but another one insists
  int claims_ = 0;        // that are still to be made
  int unanswered_ = 0;
  Instant next_{};
  std::optional<Mac> other_;
  std::optional<Instant> contest_;   // when a rival's claim is dealt with
  std::optional<Instant> insisted_;  // when we claimed against a rival
  Mac rival_{};
};

}  // namespace estiba::network::announce
