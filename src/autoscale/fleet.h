// The machines of all groups: which there are, which are coming, which are going, and which groups have failed lately. It says yes and no
// to nobody: what should come and go others decide.
//
// Invariants: a member is there from the moment it is asked for, so that nobody asks twice; a group's size counts what is coming and not
// what is going.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "autoscale/provider.h"
#include "autoscale/world.h"
#include "base/function.h"
#include "client/client.h"
#include "client/events.h"

namespace estiba::autoscale {

struct Member {
  std::string name;
  const NodeGroup* group = nullptr;
  Instant since{};             ///< when it was asked for, first heard of, or lost its Node
  bool up = false;             ///< its Node has been ready
  bool asked = false;          ///< the provider has not answered yet
  bool given_up = false;       ///< it is removed, if not at the first try
  bool going = false;          ///< it is being removed
  Instant left_alone_until{};  ///< it could not be removed
  Instant answered{};          ///< when the provider had made it: what it listed before need not have it
};

struct FleetParts {
  client::Client& client;
  Executor& executor;
  Provider& provider;
  const NodeGroups& groups;
  World& world;
  client::EventRecorder& events;
  std::string ca_hash;         ///< of the cluster's CA, for join tokens; may be empty
  client::EventTarget status;  ///< the object that events about groups are written about
};

class Fleet {
 public:
  /// `changed` is called when a call of the provider has ended.
  Fleet(FleetParts parts, UniqueFunction<void()> changed);

  /// Asks the provider, if it was not asked within `scan`, and takes in what it says and what has become of the Nodes: members that are up,
  /// that have failed or take too long (removed, and their group rests), and that are no longer there.
  Task<void> refresh();
  /// Asks for so many, and returns their names.
  std::vector<std::string> grow(const NodeGroup& group, int64_t count);
  /// The provider removes it. It is no member any more afterwards.
  Task<Result<void>> remove(std::string name);

  Member* find(std::string_view name);
  std::vector<Member*> members();
  /// Without those that are going.
  int64_t size(const NodeGroup& group) const;
  /// Why no node can be added to the group now, whatever its size; empty when nothing speaks against it.
  std::string refusal(const NodeGroup& group) const;
  /// The last failure of a group that rests.
  std::string failure(const NodeGroup& group) const;
  /// Members that are neither up nor going.
  size_t coming() const;
  size_t going() const;
  bool is_complete() const;  ///< every group has been listed at the last refresh
  /// When a group's rest ends, or a member that could not be removed is looked at again.
  std::optional<Instant> next_change() const;
  /// When a machine was asked for the last time.
  std::optional<Instant> last_growth() const { return last_growth_; }

 private:
  struct GroupState {
    bool listed = false;
    Instant rests_until{};
    Duration rest{};
    std::string failure;
  };
  static Task<void> list(Fleet* self, const NodeGroup* group);
  static Task<void> create(Fleet* self, std::string name);
  static Task<void> give_up(Fleet* self, std::string name, std::string why);
  Task<Result<std::string>> join_token();
  Task<void> forget_node(std::string name);
  void take_in(const NodeGroup& group, const std::vector<Machine>& machines, Instant begun);
  void look_at_nodes();
  void begin_giving_up(Member& member, std::string why);
  void forget_marked_nodes();
  void fail_group(const NodeGroup& group, std::string_view reason, const std::string& message);

  FleetParts parts_;
  UniqueFunction<void()> changed_;
  std::map<std::string, Member, std::less<>> members_;
  std::map<std::string, GroupState> states_;
  std::map<std::string, Instant, std::less<>> removed_;  // since the last list was begun
  std::optional<Instant> last_list_, last_growth_;
  TaskGroup tasks_;
};

}  // namespace estiba::autoscale
